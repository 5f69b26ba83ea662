"""One job on two hosts: network namespaces with an address of their own, and a cable between them."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import psutil
import pytest
from jobs import RUN, finish, kill_all, results, start, torchrun, toy_profile
from test_interruption import wait_for_step

TIMEOUT = 15  # seconds, training.timeout of these runs
HOSTS = {"rrsis-a": ("10.77.0.1", "rrsis-va"), "rrsis-b": ("10.77.0.2", "rrsis-vb")}
NOBODY = "02:00:00:00:00:99"  # an address on the cable that neither of them has

pytestmark = [
    pytest.mark.big,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None,
        reason="needs Linux, root and `ip` (apt install iproute2) for network namespaces",
    ),
]


def ip(*arguments, check=True):
    subprocess.run(["ip", *arguments], check=check, capture_output=True)


@contextmanager
def two_hosts():
    for name in HOSTS:
        ip("netns", "delete", name, check=False)
    try:
        ip("link", "add", "rrsis-va", "type", "veth", "peer", "name", "rrsis-vb")
        for name, (address, link) in HOSTS.items():
            ip("netns", "add", name)
            ip("link", "set", link, "netns", name)
            ip("-n", name, "addr", "add", f"{address}/24", "dev", link)
            ip("-n", name, "link", "set", link, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for name in HOSTS:
            ip("netns", "delete", name, check=False)


def start_on(name, params):
    """What a person types on each of the two hosts."""
    address, link = HOSTS[name]
    first, _ = HOSTS["rrsis-a"]
    launcher = [
        *["ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run", "--nnodes=2"],
        *["--nproc-per-node=1", "--rdzv-backend=c10d", f"--rdzv-endpoint={first}:29400", "--rdzv-id=rrsis"],
        # Real hosts know by their names who has the endpoint; these two share one name.
        *[f"--local-addr={address}", f"--rdzv-conf=is_host={int(address == first)}", "-m", "harness"],
    ]
    return start(
        params,
        launcher=launcher,
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": link, "TP_SOCKET_IFNAME": link},
    )


def test_two_hosts_train_one_network_and_survive_the_loss_of_one(prepared, tmp_path):
    alone = toy_profile(prepared, tmp_path / "alone", epochs=10, timeout=TIMEOUT)
    finish(start(alone, launcher=torchrun(2)))
    params = toy_profile(prepared, tmp_path / "hosts", epochs=10, timeout=TIMEOUT)
    with two_hosts():
        first, second = (start_on(name, params) for name in HOSTS)
        try:
            wait_for_step(params, first, 4)
            began = time.monotonic()
            # One host is gone: no process says goodbye, no packet comes any more, and the network does not say so.
            for name, (_, link) in HOSTS.items():
                other = next(address for host, (address, _) in HOSTS.items() if host != name)
                ip("-n", name, "neigh", "replace", other, "lladdr", NOBODY, "dev", link, "nud", "permanent")
            kill_all(second)
            said, _ = first.communicate(timeout=4 * TIMEOUT)
            waited = time.monotonic() - began
            assert first.returncode != 0
            assert (
                "error: process 0 of 2 lost the others" in said
                or "error: process 1 of 2 lost the others" in said
            )
            assert "Run the same command again" in said
            print(f"the job ended {waited:.1f} s after the loss of a host")
        finally:
            for process in (first, second):
                with suppress(psutil.NoSuchProcess):
                    kill_all(process)
    with two_hosts():
        processes = [start_on(name, params) for name in HOSTS]
        said = "".join(finish(process) for process in processes)
        assert "from step" in said
        assert "2 processes" in said
    assert results(params) == results(alone)
    assert not params.training_dir(RUN).joinpath("step-000000004.pt").exists()

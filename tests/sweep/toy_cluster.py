"""A Slurm cluster of two "machines" on loopback, in a folder of its own: munged, slurmctld and two slurmd."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from toy_project import wait_until

DAEMONS = ("munged", "slurmctld", "slurmd")
GRACE = 20  # seconds that a preempted job has
CONFIGURATION = """
ClusterName=toy
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
SwitchType=switch/none
KillWait=10
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 State=UNKNOWN
PartitionName=low Nodes=n1,n2 Default=YES PriorityTier=1 GraceTime={grace} PreemptMode=REQUEUE
PartitionName=high Nodes=n1,n2 PriorityTier=10 PreemptMode=OFF
"""


def missing() -> str | None:
    """What keeps a cluster from being started here, and what to do about it."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    absent = [name for name in (*DAEMONS, "sbatch") if shutil.which(name, path=path) is None]
    if absent:
        return f"{', '.join(absent)} missing: apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "slurmd has to be started by root"


@contextlib.contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """A running cluster; yields the environment in which Slurm's commands find it."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, contextlib.ExitStack() as daemons:
        folder = Path(name)
        folder.chmod(0o711)  # munged insists that everybody could reach its socket
        for part in ("munge", "state", "spool.n1", "spool.n2"):
            (folder / part).mkdir()
        (folder / "munge").chmod(0o711)
        key = folder / "munge/key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        configuration = folder / "slurm.conf"
        configuration.write_text(
            CONFIGURATION.format(host=socket.gethostname(), folder=folder, ports=_free_ports(3), grace=GRACE)
        )

        def start(*command: str) -> None:
            with (folder / f"{command[0]}.log").open("ab") as log:
                path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
                process = subprocess.Popen(
                    command, stdout=log, stderr=log, env=os.environ | {"PATH": path}, start_new_session=True
                )
            daemons.callback(_end, process)

        places = {
            "key": "key-file",
            "socket": "socket",
            "pid": "pid-file",
            "log": "log-file",
            "seed": "seed-file",
        }
        start(
            "munged",
            "--foreground",
            *(f"--{option}={folder}/munge/{file}" for file, option in places.items()),
        )
        wait_until((folder / "munge/socket").exists, "munged")
        start("slurmctld", "-D", "-f", str(configuration))
        for node in ("n1", "n2"):
            start("slurmd", "-D", "-N", node, "-f", str(configuration))
        environment = {"SLURM_CONF": str(configuration)}

        def call(*command: str) -> list[str]:
            asked = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
            return asked.stdout.split()

        # Two machines, each in two partitions.
        wait_until(
            lambda: call("sinfo", "-h", "-N", "-o", "%T") == ["idle"] * 4, "the machines of the cluster"
        )
        try:
            yield environment
        finally:  # a job outlives the daemons
            call("scancel", "--user=root")
            wait_until(lambda: not call("squeue", "-h"), "the end of all jobs")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as sockets:
        opened = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in opened:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in opened]

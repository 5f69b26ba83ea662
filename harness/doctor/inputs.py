"""What the profile takes from elsewhere: data, pre-trained weights, tokenizer, and the hosts that have them."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from harness.config import SPLITS, Params, Source
from harness.data.source import find_format
from harness.data.text import tokenizer_file
from harness.doctor.check import Check

SECONDS = 5.0  # that a host has to answer
DRIVE = "drive.google.com"
FROM_FILES = "without the internet see docs/networks.md, Pre-trained starts"


@dataclass(frozen=True)
class Purpose:
    """Something that is still to be fetched.

    Args:
        what: in words.
        hosts: one of them has to answer.
        way_out: without them.
    """

    what: str
    hosts: tuple[str, ...]
    way_out: str


def check_data(params: Params) -> tuple[list[Check], list[Purpose]]:
    """Whether the data is prepared, there, or to be had."""
    root, drawn = params.data.root, params.data.synthetic
    if all(params.split_file(split).is_file() for split in SPLITS):
        return [Check("data", "ok", f"prepared in {params.out / 'data'}")], []
    tables = find_format(params.data.reader).tables
    if root.is_dir():
        if missing := [name for name in tables if not (root / name).is_file()]:
            way_out = f"`harness data fetch {params.data.dataset} --repair`, or name another data.root"
            return [Check("data", "error", f"{root} lacks {', '.join(missing)}", way_out)], []
        return [Check("data", "ok", f"there, in {root}")], []
    if drawn is not None:
        return [Check("data", "ok", f"will be drawn: {drawn.refs:,} images of {drawn.size} pixels")], []
    here = [source.path for source in params.data.sources if source.path is not None]
    if found := next((path for path in here if path.exists()), None):
        return [Check("data", "ok", f"will be taken from {found}")], []
    hosts = tuple(dict.fromkeys(host for source in params.data.sources if (host := _host(source))))
    if not hosts:
        text = f"{root} does not exist, and {params.params} names no source that is there"
        return [Check("data", "error", text, "put the set there, or name data.sources")], []
    text = f"not here; will be fetched from {' or '.join(hosts)}"
    way_out = "by hand: docs/fetching.md"
    return [Check("data", "warning", text, way_out)], [Purpose("data", hosts, way_out)]


def check_pretrained(params: Params) -> tuple[list[Check], list[Purpose]]:
    """Whether the weights that networks start from and the tokenizer are here, or in the hub's cache."""
    checks: list[Check] = []
    purposes: list[Purpose] = []
    wanted = []
    if (sources := params.training.pretrained) is None:
        checks.append(Check("weights", "ok", "none needed: the networks start from scratch"))
    else:
        wanted = [
            ("Swin weights", sources.swin, ("model.safetensors", "pytorch_model.bin")),
            ("BERT weights", sources.bert, ("model.safetensors", "pytorch_model.bin")),
        ]
    if params.text.tokenizer == "trained" or tokenizer_file(params).is_file():
        text = "prepared" if tokenizer_file(params).is_file() else "trained on the sentences by `prepare`"
        checks.append(Check("tokenizer", "ok", text))
    else:
        wanted.append(("tokenizer", params.text.tokenizer, ("tokenizer.json", "vocab.txt")))
    for what, source, names in wanted:
        check, purpose = _find(what, source, names)
        checks.append(check)
        purposes += [purpose] if purpose else []
    return checks, purposes


def _find(what: str, source: str, names: Sequence[str]) -> tuple[Check, Purpose | None]:
    from huggingface_hub import try_to_load_from_cache

    from harness.weights.pretrained import is_path

    if is_path(source):
        path = Path(source)
        if path.is_file() or any((path / name).is_file() for name in names):
            return Check(what, "ok", f"in {source}"), None
        problem = f"{source} has none of {', '.join(names)}" if path.is_dir() else f"{source} does not exist"
        return Check(
            what, "error", problem, "docs/networks.md, Pre-trained starts, says what belongs there"
        ), None
    if any(isinstance(try_to_load_from_cache(source, name), str) for name in names):
        return Check(what, "ok", f"{source}, in the hub's cache"), None
    host = _hub()
    return (
        Check(what, "warning", f"{source} is not here; will be fetched from {host}", FROM_FILES),
        Purpose(what, (host,), FROM_FILES),
    )


def check_network(
    purposes: Sequence[Purpose], *, offline: bool, reach: Callable[[str], str] | None = None
) -> list[Check]:
    """Whether the hosts answer that have what is still to be fetched.

    Args:
        purposes: what is to be fetched.
        offline: ask nobody.
        reach: asks a host; "" or why it does not answer. None: `answer`.
    """
    if not purposes:
        return [Check("network", "ok", "not needed: all is here")]
    hosts = tuple(dict.fromkeys(host for purpose in purposes for host in purpose.hosts))
    if offline:
        needed = ", ".join(purpose.what for purpose in purposes)
        return [Check("network", "warning", f"not asked (--offline); needed for {needed}")]
    answers = ask_all(hosts, reach or answer)
    stuck = [purpose for purpose in purposes if all(answers[host] for host in purpose.hosts)]
    checks = []
    for host in hosts:
        needed = ", ".join(purpose.what for purpose in purposes if host in purpose.hosts)
        lost = [purpose for purpose in stuck if host in purpose.hosts]
        if not answers[host]:
            checks.append(Check("network", "ok", f"{host} answers, for {needed}"))
        else:
            text = f"{host} does not answer ({answers[host]}), for {needed}"
            ways = "; ".join(dict.fromkeys(purpose.way_out for purpose in lost))
            checks.append(Check("network", "error" if lost else "warning", text, ways))
    return checks


def ask_all(hosts: Iterable[str], reach: Callable[[str], str]) -> dict[str, str]:
    """Ask all hosts at once; what each said, "" or why it did not answer in time."""
    answers = dict.fromkeys(hosts, f"nothing within {SECONDS:g} seconds")
    heard: queue.Queue[tuple[str, str]] = queue.Queue()
    for host in answers:
        # Looking up a name has no timeout of its own: the thread is left behind then.
        threading.Thread(target=lambda host=host: heard.put((host, reach(host))), daemon=True).start()
    end = time.monotonic() + SECONDS + 1
    for _ in list(answers):
        try:
            host, said = heard.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        answers[host] = said
    return answers


def answer(host: str) -> str:
    """ "" where a host answers a request, whatever it says; else why it does not."""
    import requests

    from harness.data.fetch.download import innermost

    address = host if "://" in host else f"https://{host}"
    try:
        requests.head(address, timeout=SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        return innermost(error)[:100]
    return ""


def _host(source: Source) -> str:
    if source.huggingface is not None:
        return _hub()
    if source.google_drive is not None:
        return DRIVE
    if source.url is not None:
        parts = urlsplit(source.url)
        host = parts.hostname or ""
        return f"http://{host}:{parts.port or 80}" if parts.scheme == "http" else host
    return ""


def _hub() -> str:
    from huggingface_hub.constants import ENDPOINT

    return urlsplit(ENDPOINT).hostname or "huggingface.co"

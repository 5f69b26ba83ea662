"""The folder of a run in training: what it goes on from when it was interrupted.

    lock                        held by the one process that writes here
    step-000000300.pt           all that training needs to go on after 300 steps; the last two are kept
    best-000000200.safetensors  the best weights so far, as checkpoints name them
    set-aside-1/                checkpoints of other settings, data or code

A checkpoint is a zip file with a CRC-32 of every member, which is compared before anything of it is used.
"""

import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from harness.errors import HarnessError, shown
from harness.files import atomic_write
from harness.training.fingerprint import differences
from harness.weights.reading import require_bounded

SCHEMA_VERSION = 1
KEPT = 2  # checkpoints: should the last be damaged, there is the one before
PATIENCE = 10.0  # seconds in which a predecessor that was told to stop may end its step
LISTED = 6  # differences in a message


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: of the run in training.
        fingerprint: of what it is trained from; see `fingerprint`.
    """

    def __init__(self, folder: Path, fingerprint: Mapping[str, str]) -> None:
        self.folder = folder
        self.fingerprint = dict(fingerprint)

    def best_file(self, step: int) -> Path:
        """The best weights, if they are those after `step` steps."""
        return self.folder / f"best-{step:09}.safetensors"

    def save(self, step: int, state: Mapping[str, Any], best_step: int | None) -> None:
        """Write the state after `step` steps, then remove what no kept checkpoint needs.

        Args:
            step: steps taken.
            state: tensors, numbers, strings, and lists and dicts of them.
            best_step: the step of the best weights so far, whose file is there already.

        Raises:
            HarnessError: it cannot be written; the checkpoints before are untouched.
        """
        content = {
            "version": SCHEMA_VERSION,
            "fingerprint": self.fingerprint,
            "step": step,
            "best_step": best_step,
            **state,
        }
        with atomic_write(self._file(step)) as temporary, temporary.open("wb") as file:
            try:
                torch.save(content, file)
            except RuntimeError as error:
                if isinstance(
                    error.__context__, OSError
                ):  # a full disk, which torch hides behind an error of its own
                    raise error.__context__ from None
                raise
        files = self._files()
        for path in files[:-KEPT]:
            path.unlink()
        needed = {best_step, *(self._best_step_of(path) for path in files[-KEPT:-1])}
        for path in self.folder.glob("best-*.safetensors"):
            if int(path.stem.removeprefix("best-")) not in needed:
                path.unlink()

    def latest(self, say: Any = print) -> Path | None:
        """The last sound checkpoint of this fingerprint; None to start anew.

        A damaged one is renamed and the one before it is taken. Those of something else are moved to a folder of their
        own, and what differs is told.
        """
        for left_over in self.folder.glob(".*.tmp"):
            left_over.unlink()
        for path in reversed(self._files()):
            try:
                found = self.load(path)["fingerprint"]
            except HarnessError as error:
                path.replace(path.with_suffix(".damaged"))
                say(f"{error}; going on from the one before")
                continue
            if found == self.fingerprint:
                return path
            self._set_aside(differences(found, self.fingerprint), say)
            break
        return None

    def load(self, path: Path) -> dict[str, Any]:
        """Read a checkpoint, tensors on the CPU.

        Raises:
            HarnessError: it is damaged, or of another version.
        """
        try:
            require_bounded(path)
            with zipfile.ZipFile(path) as archive:
                if (broken := archive.testzip()) is not None:
                    raise zipfile.BadZipFile(f"the checksum of {broken} differs")
            content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            version, fingerprint = content["version"], content["fingerprint"]
        except (OSError, zipfile.BadZipFile, RuntimeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise HarnessError(f"{path} is damaged ({reason})") from None
        except KeyError as error:
            raise HarnessError(f"{path} is damaged (it lacks {error})") from None
        except Exception as error:  # unpickling
            raise HarnessError(f"{path} is no checkpoint of a training ({type(error).__name__})") from None
        if version != SCHEMA_VERSION:
            raise HarnessError(
                f"{path} has version {shown(version, 20)}; this harness reads {SCHEMA_VERSION}"
            )
        texts = [*fingerprint, *fingerprint.values()] if isinstance(fingerprint, dict) else [None]
        if not all(isinstance(text, str) for text in texts):
            raise HarnessError(f"{path} is no checkpoint of a training (its fingerprint is none)")
        return content

    def clear(self) -> None:
        """Remove what a finished run needs no more: all but the lock and what was set aside."""
        for path in self.folder.iterdir():
            if path.name == "lock" or path.name.startswith("set-aside-"):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _file(self, step: int) -> Path:
        return self.folder / f"step-{step:09}.pt"

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"))

    def _best_step_of(self, path: Path) -> int | None:
        try:
            step: int | None = torch.load(path, map_location="meta", weights_only=True)["best_step"]
        except Exception:  # damaged: it needs nothing
            return None
        return step

    def _set_aside(self, changes: list[str], say: Any) -> None:
        number = 1
        while (target := self.folder / f"set-aside-{number}").exists():
            number += 1
        target.mkdir()
        for path in [*self._files(), *self.folder.glob("best-*.safetensors")]:
            path.replace(target / path.name)
        more = f" and {len(changes) - LISTED} more" if len(changes) > LISTED else ""
        say(
            f"the checkpoint in {self.folder} was made from something else: {'; '.join(changes[:LISTED])}{more}. "
            f"It is set aside in {target}; the training starts anew"
        )


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder; the system releases it when the process ends, however it ends.

    Raises:
        HarnessError: another process trains this run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise HarnessError(
            f"{folder} is being written by another training of this run (process {_writer(folder)}); wait for it or "
            "stop it"
        ) from None
    try:
        (folder / "writer").write_text(f"{os.getpid()}\n")
        yield
    finally:
        lock.release()


def _writer(folder: Path) -> str:
    try:
        return (folder / "writer").read_text().strip()
    except OSError:
        return "unknown"

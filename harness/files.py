"""Files that are there whole or not at all."""

import errno
import glob
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.errors import HarnessError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNWRITABLE = (*FULL, errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST)


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without an error.

    The file is flushed to disk before the rename, so that a crash leaves the old file or the new one.

    Raises:
        HarnessError: the file cannot be written (no space, no permission, a folder in its place).
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _named(path, UNWRITABLE):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch()
        with _named(path, FULL):  # other errors of the block are its own: it may read files, too
            yield temporary
        with _named(path, UNWRITABLE):
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def require_writable(path: Path | str) -> None:
    """Find out that a file cannot be written before the work that it is to hold, not after.

    Raises:
        HarnessError: as `atomic_write`.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _named(path, UNWRITABLE):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        temporary.unlink()


@contextmanager
def replace_together(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield temporary paths for files that belong together; rename all when the block ends without an error.

    The old files are removed before the first rename: a kill in between leaves some missing, never old beside new.
    Temporary files of a killed predecessor are removed, so hold a lock.

    Raises:
        HarnessError: as `atomic_write`.
    """
    for path in paths:
        for left_over in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
            left_over.unlink(missing_ok=True)
    with ExitStack() as writes:
        yield [writes.enter_context(atomic_write(path)) for path in paths]
        for path in paths:
            path.unlink(missing_ok=True)


@contextmanager
def _named(path: Path, numbers: tuple[int, ...]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise
        raise HarnessError(
            f"cannot write {path}: {os.strerror(error.errno)}; what was there is unchanged"
        ) from error


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN is refused: it is not JSON."""
    with atomic_write(path) as temporary:
        temporary.write_text(
            json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


def read_json(path: Path | str, made_by: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        made_by: the command that writes it, named in the error when the file is missing or damaged.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HarnessError(f"{path} does not exist; `{made_by}` writes it") from None
    except (ValueError, OSError, RecursionError) as error:
        raise HarnessError(
            f"{path} cannot be read as JSON ({error}); write it again with `{made_by}`"
        ) from None

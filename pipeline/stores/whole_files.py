"""New files that are there whole or not at all, whatever ends the process or the machine.

A file gets its name when all of it is on the disk; until then it has none (`O_TMPFILE`), so that
nothing is left of it, even after kill -9. Where a system or file system has no such files, it has
a name that begins with `.writing-`, and the next writer removes what is left.
"""

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

UNFINISHED = ".writing-"
PROBE = ".probe"
MAX_WRITING_SECONDS = 24 * 3600
"""What has not changed for so long is left behind by a process that was killed."""
NO_NAMELESS_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
"""What systems say that lack them: file systems, old kernels, and those without `/proc`."""


def write_whole(path: Path, content: bytes, root: Path) -> None:
    """Write a new file, and the folders that it is in; both survive a loss of power from then on.

    Args:
        path: of the file.
        content: of the file, which everybody may read.
        root: folder that is there already, above all that is made.

    Raises:
        FileExistsError: there is such a file; it is untouched.
        OSError: it cannot be written.
    """
    with suppress(FileExistsError):  # a file in the way is found by the next line
        path.parent.mkdir(parents=True)
    _write(path, content)
    for folder in path.parents:
        with _opened(folder, os.O_RDONLY) as descriptor:
            os.fsync(descriptor)
        if folder == root:
            break


def try_link(folder: Path) -> None:
    """Find out whether a file can get a second name in a folder; nothing is left there.

    Raises:
        OSError: it cannot.
    """
    with suppress(FileExistsError):  # of another process, or of one that was killed
        _write(folder / PROBE, b"")
    (folder / PROBE).unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    """Write a new file into a folder that is there."""
    _remove_left_behind(path.parent)
    try:
        _write_nameless(path, content)
    except OSError as error:
        if error.errno not in NO_NAMELESS_FILES:
            raise
        _write_named(path, content)


def _write_nameless(path: Path, content: bytes) -> None:
    nameless = getattr(os, "O_TMPFILE", None)
    if nameless is None:
        raise OSError(errno.EOPNOTSUPP, "no files without a name on this system")
    with (
        _opened(path.parent, os.O_RDONLY) as folder,
        _opened(path.parent, nameless | os.O_WRONLY) as descriptor,
    ):
        with open(descriptor, "wb", closefd=False) as file:
            _fill(file, content)
        # Only with the descriptor of a folder does os.link follow the link in /proc.
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=folder)


def _write_named(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=UNFINISHED) as file:
        _fill(file, content)
        os.link(file.name, path)


def _fill(file: IO[bytes], content: bytes) -> None:
    """Write all of a file to the disk."""
    file.write(content)
    file.flush()
    os.fchmod(file.fileno(), 0o644)
    os.fsync(file.fileno())


def _remove_left_behind(folder: Path) -> None:
    """Remove files whose writers were killed, as far as this process may."""
    for file in folder.glob(f"{UNFINISHED}*"):
        with suppress(OSError):
            if file.stat().st_mtime < time.time() - MAX_WRITING_SECONDS:
                file.unlink()


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)

"""Folders for files that only one run needs, and that go with it."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir, mkdtemp
from weakref import finalize

from pipeline.stages.command_line import option_of
from pipeline.stages.errors import StoreError

BYTES_OF_A_ROW = 20
MIN_OPEN_FILES = 128


class ScratchFolder:
    """A new folder that is removed with this object, and at the latest when the process ends.

    Attributes:
        path: of the folder.
    """

    def __init__(self, parent: Path | None) -> None:
        """Make it in a folder, or in that of the system for such files.

        Raises:
            StoreError: there it cannot be made.
        """
        try:
            self.path = Path(mkdtemp(prefix="time-to-dispatch-", dir=parent))
        except OSError as error:
            raise cannot_write(parent or Path(gettempdir()), error) from error
        finalize(self, _remove, self.path)


def cannot_write(folder: Path, error: OSError) -> StoreError:
    """Return the error that says why rows cannot be written into a folder, and what to do."""
    why = os.strerror(error.errno) if error.errno else error
    advice = (
        f"A large week needs {BYTES_OF_A_ROW} bytes for each of its rows: make room, or name "
        f"another folder with {option_of('scratch')} or TMPDIR."
    )
    if error.errno == errno.EMFILE:
        advice = f"A large week needs {MIN_OPEN_FILES} of them: raise the limit (ulimit -n)."
    return StoreError(f"Cannot write rows into {folder}: {why}.", advice)


def _remove(path: Path) -> None:
    """Remove a folder into which a lost worker may be writing: under a new name, it cannot."""
    with suppress(OSError):
        path = path.rename(path.with_suffix(".removed"))
    rmtree(path, ignore_errors=True)

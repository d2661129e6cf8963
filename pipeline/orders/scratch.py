"""Folders for files that only one run needs, and that go with it."""

from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from weakref import finalize


class ScratchFolder:
    """A new folder that is removed with this object, and at the latest when the process ends.

    Attributes:
        path: of the folder.
    """

    def __init__(self, parent: Path | None) -> None:
        """Make it in a folder, or in that of the system for such files."""
        self.path = Path(mkdtemp(prefix="time-to-dispatch-", dir=parent))
        finalize(self, _remove, self.path)


def _remove(path: Path) -> None:
    """Remove a folder into which a lost worker may be writing: under a new name, it cannot."""
    with suppress(OSError):
        path = path.rename(path.with_suffix(".removed"))
    rmtree(path, ignore_errors=True)

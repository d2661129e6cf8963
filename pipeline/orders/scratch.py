"""Folders for files that only one run needs, and that go with it."""

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
        finalize(self, rmtree, self.path, ignore_errors=True)

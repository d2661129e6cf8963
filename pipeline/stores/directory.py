"""A store in a local folder, for first steps, ad hoc runs and tests."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from pipeline.stages.errors import ObjectChanged, ObjectExists, ObjectMissing, StoreError
from pipeline.stores.base import no_store
from pipeline.stores.whole_files import try_link, write_whole


class DirectoryStore:
    """Objects as files below one folder; a key is the path of a file relative to it.

    Names that start with a dot are not objects: files that are being written have such names.
    """

    def __init__(self, root: str) -> None:
        """Open the folder `root`.

        Raises:
            StoreError: there is no such folder.
        """
        self._root = Path(os.path.abspath(Path(root).expanduser()))
        if self._root.is_file():
            raise no_store(str(self._root))
        if not self._root.is_dir():
            raise StoreError(
                f"Cannot open the store {self._root}: there is no such folder. "
                "Create it, or name another STORE."
            )

    @property
    def url(self) -> str:
        """The absolute path of the folder."""
        return str(self._root)

    def list_keys(self, folder: str) -> list[str]:
        """See `ObjectStore.list_keys`; a folder that is not there yet holds no objects."""
        files = [entry for entry in self._entries(folder) if entry.is_file()]
        return sorted(f"{folder.rstrip('/')}/{file.name}" for file in files)

    def list_folders(self, folder: str) -> list[str]:
        """See `ObjectStore.list_folders`."""
        folders = [entry for entry in self._entries(folder) if entry.is_dir()]
        return sorted(f"{folder.rstrip('/')}/{entry.name}/" for entry in folders)

    def list_times(self, folder: str) -> Mapping[str, datetime]:
        """See `ObjectStore.list_times`."""
        try:
            return {
                key: datetime.fromtimestamp(self._path(key).stat().st_mtime, UTC)
                for key in self.list_keys(folder)
            }
        except OSError as error:
            raise StoreError(f"Cannot list {self._path(folder)}: {error.strerror}.") from error

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """See `ObjectStore.open`."""
        path = self._path(key)
        with _opened(path) as file:
            before = _state(file)
            try:
                yield file
            except Exception as error:
                _check_unchanged(path, file, before, error)
                raise
            _check_unchanged(path, file, before, None)

    def read(self, key: str) -> bytes:
        """See `ObjectStore.read`."""
        path = self._path(key)
        with _opened(path) as file:
            try:
                return file.read()
            except OSError as error:
                raise StoreError(f"Cannot read {path}: {error.strerror}.") from error

    def write_new(self, key: str, content: bytes) -> None:
        """See `ObjectStore.write_new`."""
        path = self._path(key)
        try:
            write_whole(path, content, self._root)
        except FileExistsError as error:
            raise ObjectExists(
                f"Cannot write {path}: the file exists, and nothing is ever overwritten."
            ) from error
        except OSError as error:
            raise StoreError(f"Cannot write {path}: {error.strerror}.") from error

    def check_writes(self) -> None:
        """See `ObjectStore.check_writes`; some file systems have no hard links."""
        try:
            try_link(self._root)
        except OSError as error:
            raise StoreError(
                f"Cannot write to {self._root}: {error.strerror}.",
                "A store needs hard links, so that nothing is ever overwritten, and the right to "
                "write.",
            ) from error

    def _entries(self, folder: str) -> list[Path]:
        """Return what is in a folder; names that start with a dot are left out."""
        directory = self._path(folder)
        try:
            return [entry for entry in directory.iterdir() if not entry.name.startswith(".")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"Cannot list {directory}: {error.strerror}.") from error

    def _path(self, key: str) -> Path:
        """Return the path of a key, which must not lead out of the store."""
        path = Path(os.path.normpath(self._root / key))
        if self._root not in path.parents:
            raise StoreError(f"The key {key!r} leads out of the store {self._root}.")
        return path


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise ObjectMissing(f"Cannot read {path}: there is no such file.") from error
    except OSError as error:
        raise StoreError(f"Cannot read {path}: {error.strerror}.") from error


def _state(file: BinaryIO) -> tuple[int, int]:
    """Return what changes when somebody writes into a file."""
    facts = os.fstat(file.fileno())
    return facts.st_size, facts.st_mtime_ns


def _check_unchanged(
    path: Path, file: BinaryIO, before: tuple[int, int], cause: Exception | None
) -> None:
    """Raise ObjectChanged, in place of what it may have caused."""
    if _state(file) != before:
        raise ObjectChanged(
            f"Cannot read {path}: it was changed meanwhile.",
            "Write a file under another name, rename it when it is whole, and run the stage again.",
        ) from cause

"""What the pipeline expects of a store of objects, and how a store URL becomes a store."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import BinaryIO, Protocol

from pipeline.stages.errors import StoreError
from pipeline.stages.settings import STORE_SECONDS
from pipeline.stores.installed import SCHEME, folder_of_package


class ObjectStore(Protocol):
    """Whole objects under keys such as `models/a.onnx`; what is written once stays as it is."""

    @property
    def url(self) -> str:
        """Where the store is, for messages: `s3://bucket/prefix` or a folder; no final slash."""

    def list_keys(self, folder: str) -> list[str]:
        """Return the sorted keys of all objects directly in a folder such as `models`.

        Raises:
            StoreError: the store cannot be reached or does not exist.
        """

    def list_times(self, folder: str) -> Mapping[str, datetime]:
        """Return the keys of all objects directly in a folder, and when each was written last.

        Raises:
            StoreError: the store cannot be reached or does not exist.
        """

    def list_folders(self, folder: str) -> list[str]:
        """Return the sorted keys of all folders directly in a folder; each ends in a slash.

        Raises:
            StoreError: the store cannot be reached or does not exist.
        """

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open an object that may be larger than memory, to be read from any position.

        Raises:
            ObjectMissing: there is no such object.
            ObjectChanged: it was written anew meanwhile; told when it is closed.
            StoreError: it cannot be read.
        """

    def read(self, key: str) -> bytes:
        """Return the whole object.

        Raises:
            ObjectMissing: there is no such object.
            StoreError: it cannot be read.
        """

    def check_writes(self) -> None:
        """Find out whether new objects can be written, and objects that are there stay as they are.

        Raises:
            StoreError: that cannot be had here.
        """

    def write_new(self, key: str, content: bytes) -> None:
        """Write a new object: readers see all of it or nothing.

        Raises:
            ObjectExists: the key is taken; the object there is untouched.
            StoreError: it cannot be written.
        """


def open_store(url: str, seconds: float = STORE_SECONDS) -> ObjectStore:
    """Return the store that `s3://bucket[/prefix]`, `package:NAME` or a folder's path stands for.

    boto3 is imported only for S3: it costs time and memory at the start of the service.

    Args:
        url: of the store.
        seconds: to wait for S3 in a row; see `Patience`.

    Raises:
        StoreError: the folder or the package does not exist, or the S3 client cannot be made.
    """
    if url.startswith("s3://"):
        from pipeline.stores.s3 import S3Store

        return S3Store(url, seconds)
    from pipeline.stores.directory import DirectoryStore

    return DirectoryStore(folder_of_package(url) if url.startswith(SCHEME) else url)


def is_file_name(url: str) -> bool:
    """Tell whether a URL ends as a dataset or a model does, so that it is no store."""
    return url.lower().endswith((".csv", ".csv.gz", ".parquet", ".onnx"))


def no_store(url: str) -> StoreError:
    """Return the error that says what to do with a file that was given as a store."""
    return StoreError(
        f"Cannot open the store {url}: it is a file, and a store holds folders such as datasets.",
        "To check one file, use ttd-check FILE; to train on it, put it into the folder datasets.",
    )

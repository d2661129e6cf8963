"""A store in an S3 bucket, or in a server that speaks S3: the only place that speaks to boto3.

Credentials, region and endpoint come from boto3's own chain (environment, shared files, IAM roles;
`AWS_ENDPOINT_URL_S3` for other servers), and retries are botocore's.
"""

import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from pipeline.stages.errors import StoreError
from pipeline.stores.base import is_file_name, no_store
from pipeline.stores.s3_errors import (
    CONDITIONAL_ADVICE,
    TAKEN,
    UNCONDITIONAL,
    code_of,
    explained,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

PROBE = "probe"
"""In S3 only: one object by which the training finds out whether what is written is kept."""
PROBE_KEY = f"{PROBE}/written_once.txt"


class S3Store:
    """Objects of one bucket, below an optional prefix."""

    def __init__(self, url: str) -> None:
        """Prepare a client for `s3://bucket[/prefix]`; nothing is sent yet.

        It has a session of its own: boto3's shared one keeps the first credentials it has seen.

        Raises:
            StoreError: this is the address of a file, or the AWS configuration is unusable, such as
                a profile that is not there.
        """
        if is_file_name(url):
            raise no_store(url)
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/".lstrip("/")
        self._url = f"s3://{bucket}/{self._prefix}".rstrip("/")
        with explained(f"Cannot open {self._url}"):
            self._client: S3Client = boto3.Session().client(
                "s3", config=Config(connect_timeout=5, retries={"mode": "standard"})
            )

    @property
    def url(self) -> str:
        """The bucket and prefix as `s3://bucket/prefix`."""
        return self._url

    def list_keys(self, folder: str) -> list[str]:
        """See `ObjectStore.list_keys`."""
        return sorted(self.list_times(folder))

    def list_times(self, folder: str) -> Mapping[str, datetime]:
        """See `ObjectStore.list_times`; listings of any length are read page by page."""
        return {
            item["Key"].removeprefix(self._prefix): item["LastModified"]
            for page in self._pages(folder)
            for item in page.get("Contents", [])
            if not item["Key"].endswith("/")
        }

    def list_folders(self, folder: str) -> list[str]:
        """See `ObjectStore.list_folders`."""
        return sorted(
            item["Prefix"].removeprefix(self._prefix)
            for page in self._pages(folder)
            for item in page.get("CommonPrefixes", [])
        )

    def _pages(self, folder: str) -> Iterator["ListObjectsV2OutputTypeDef"]:
        """Yield what is directly in a folder, a page of it at a time."""
        prefix = f"{self._prefix}{folder.rstrip('/')}/"
        pages = self._client.get_paginator("list_objects_v2")
        with explained(f"Cannot list {self._url}/{folder}"):
            yield from pages.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/")

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """See `ObjectStore.open`; the object is kept in a temporary file meanwhile."""
        with tempfile.TemporaryFile() as file:
            self._download(key, file)
            file.seek(0)
            yield file

    def read(self, key: str) -> bytes:
        """See `ObjectStore.read`."""
        content = io.BytesIO()
        self._download(key, content)
        return content.getvalue()

    def _download(self, key: str, file: BinaryIO) -> None:
        """Read an object into a file; a connection that breaks half-way is taken up again."""
        with explained(f"Cannot read {self._url}/{key}"):
            self._client.download_fileobj(self._bucket, self._prefix + key, file)

    def write_new(self, key: str, content: bytes) -> None:
        """See `ObjectStore.write_new`; S3 itself refuses a taken key (`If-None-Match: *`)."""
        with explained(f"Cannot write {self._url}/{key}"):
            try:
                self._put_new(key, content)
            except ClientError as error:
                if not self._is_our_own(error, key, content):
                    raise

    def check_writes(self) -> None:
        """See `ObjectStore.check_writes`; some servers ignore the condition, others refuse it.

        A small object is written, which stays; it must not be possible to write it twice.
        """
        attempt = f"Cannot write {self._url}/{PROBE_KEY}"
        with explained(attempt):
            for _ in range(2):
                try:
                    self._put_new(PROBE_KEY, b"Nothing may overwrite this.\n")
                except ClientError as error:
                    if code_of(error) in TAKEN:
                        return
                    if code_of(error) not in UNCONDITIONAL:
                        raise
                    break
        raise StoreError(
            f"The server of {self._url} has no conditional writes (If-None-Match).",
            CONDITIONAL_ADVICE,
        )

    def _put_new(self, key: str, content: bytes) -> None:
        self._client.put_object(
            Bucket=self._bucket, Key=self._prefix + key, Body=content, IfNoneMatch="*"
        )

    def _is_our_own(self, error: ClientError, key: str, content: bytes) -> bool:
        """Tell whether a key is taken because our first try, whose answer got lost, worked."""
        taken = code_of(error) in TAKEN
        retried = error.response["ResponseMetadata"]["RetryAttempts"] > 0
        return taken and retried and self.read(key) == content

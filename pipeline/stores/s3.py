"""A store in an S3 bucket, or in a server that speaks S3: the only place that speaks to boto3.

Credentials, region and endpoint come from boto3's own chain (environment, shared files, IAM roles;
`AWS_ENDPOINT_URL_S3` for other servers). botocore repeats requests that fail, this module those
whose answers turn out to be none, or not the whole: what stands between a machine and its store may
answer, too, such as a proxy or the sign-in page of a network. `patience` ends what takes too long.
"""

import hashlib
import io
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError

from pipeline.stages.errors import StoreError
from pipeline.stages.settings import STORE_SECONDS
from pipeline.stores.base import is_file_name, no_store
from pipeline.stores.patience import Patience, Received
from pipeline.stores.s3_errors import (
    CONDITIONAL_ADVICE,
    EXPIRED,
    MISSING,
    TAKEN,
    UNCONDITIONAL,
    AnswerError,
    code_of,
    explained,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

Result = TypeVar("Result")

PROBE = "probe"
"""In S3 only: one object by which the training finds out whether what is written is kept."""
PROBE_KEY = f"{PROBE}/written_once.txt"
TRIES = 3
"""Of what is asked, if the answer is unsound."""
PAUSE_SECONDS = 0.2
"""Before the second try; before the third, twice as long."""
READ_TIMEOUTS = 4
"""How many silences of a socket make up the time to wait, so that a request can be repeated."""
UNSOUND = (
    AnswerError,
    FlexibleChecksumError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseParserError,
    ResponseStreamingError,
)
"""What an answer may turn out to be that had begun."""
PIECE_BYTES = 256 * 1024
MD5_TAG = re.compile('"([0-9a-f]{32})"')
"""The tag of an object that was written at once and has no key of its own is its MD5."""


class S3Store:
    """Objects of one bucket, below an optional prefix."""

    def __init__(self, url: str, seconds: float = STORE_SECONDS) -> None:
        """Prepare a client for `s3://bucket[/prefix]`; nothing is sent yet.

        Args:
            url: of the store.
            seconds: to wait for it; see `Patience`.

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
        self._seconds = seconds
        self._patience = Patience(seconds)
        with explained(f"Cannot open {self._url}"):
            self._client = self._new_client()

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

    def _pages(self, folder: str) -> list["ListObjectsV2OutputTypeDef"]:
        """Return what is directly in a folder, in pages."""
        prefix = f"{self._prefix}{folder.rstrip('/')}/"

        def listed(received: Received) -> list["ListObjectsV2OutputTypeDef"]:
            paginator = self._client.get_paginator("list_objects_v2")
            pages = list(paginator.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/"))
            # Of an empty answer or a page of HTML, botocore makes a listing of nothing.
            if not all(page.get("Name") and page.get("Prefix") == prefix for page in pages):
                raise AnswerError(reason="the answer is not the listing of this folder")
            return pages

        return self._asked(f"Cannot list {self._url}/{folder}", listed)

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
        """Read an object into a file; one that comes in part or garbled is read again."""
        earlier: set[str] = set()
        self._asked(
            f"Cannot read {self._url}/{key}",
            lambda received: self._get(key, file, earlier, received),
        )

    def _get(self, key: str, file: BinaryIO, earlier: set[str], received: Received) -> None:
        """Read an object into a file.

        Args:
            key: of the object.
            file: gets its content, in place of what it has.
            earlier: MD5 of what came at earlier tries.
            received: counts what comes.

        Raises:
            AnswerError: this is not the object, or not what was written.
        """
        answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        file.seek(0)
        file.truncate()
        digest = hashlib.md5(usedforsecurity=False)
        for piece in answer["Body"].iter_chunks(PIECE_BYTES):
            file.write(piece)
            digest.update(piece)
            received.add(len(piece))
        if "ETag" not in answer:
            raise AnswerError(reason="the answer is not an object of S3")
        md5 = digest.hexdigest()
        # A tag of 32 digits that is no MD5 is told by the content, which is the same each time.
        if _md5_of(answer) not in (None, md5) and md5 not in earlier:
            earlier.add(md5)
            raise AnswerError(reason="what came is not what was written")

    def write_new(self, key: str, content: bytes) -> None:
        """See `ObjectStore.write_new`; S3 itself refuses a taken key (`If-None-Match: *`).

        What was written is read again: an answer alone proves nothing.
        """
        was_tried = False

        def written(received: Received) -> None:
            nonlocal was_tried
            received.add(len(content))  # may take as long as if it came
            try:
                self._put_new(key, content)
            except ClientError as error:
                retried = was_tried or error.response["ResponseMetadata"]["RetryAttempts"] > 0
                if not (code_of(error) in TAKEN and retried):
                    raise
                if self._content(key, received) != content:
                    raise
                return
            finally:
                was_tried = True
            if self._content(key, received) != content:
                raise AnswerError(reason="it is not there, although the answer said so")

        self._asked(f"Cannot write {self._url}/{key}", written)

    def _content(self, key: str, received: Received) -> bytes | None:
        """Return an object, or None if there is none."""
        content = io.BytesIO()
        try:
            self._get(key, content, set(), received)
        except ClientError as error:
            if code_of(error) in MISSING:
                return None
            raise
        return content.getvalue()

    def check_writes(self) -> None:
        """See `ObjectStore.check_writes`; some servers ignore the condition, others refuse it.

        A small object is written, which stays; it must not be possible to write it twice.
        """

        def is_kept(received: Received) -> bool:
            for _ in range(TRIES):  # a single answer may be somebody else's
                try:
                    self._put_new(PROBE_KEY, b"Nothing may overwrite this.\n")
                except ClientError as error:
                    if code_of(error) in TAKEN:
                        return True
                    if code_of(error) not in UNCONDITIONAL:
                        raise
                    return False
            return False

        if not self._asked(f"Cannot write {self._url}/{PROBE_KEY}", is_kept):
            raise StoreError(
                f"The server of {self._url} has no conditional writes (If-None-Match).",
                CONDITIONAL_ADVICE,
            )

    def _put_new(self, key: str, content: bytes) -> None:
        answer = self._client.put_object(
            Bucket=self._bucket, Key=self._prefix + key, Body=content, IfNoneMatch="*"
        )
        if "ETag" not in answer:
            raise AnswerError(reason="the answer is not that of S3 to a write")

    def _asked(self, attempt: str, question: Callable[[Received], Result]) -> Result:
        """Return the answer to a question, which is asked again if it is unsound.

        Raises:
            StoreError: there is none; the error begins with what was tried.
        """

        def ask(received: Received) -> Result:
            for number in range(1, TRIES):
                try:
                    return question(received)
                except UNSOUND:
                    pass
                except ClientError as error:
                    if code_of(error) not in EXPIRED:
                        raise
                    self._client = self._new_client()
                time.sleep(number * PAUSE_SECONDS)
            return question(received)

        with explained(attempt):
            return self._patience.ask(attempt, ask)

    def _new_client(self) -> "S3Client":
        """Return a client with credentials as they are now.

        It has a session of its own: boto3's shared one keeps the first credentials it has seen.
        """
        config = Config(
            connect_timeout=min(5.0, self._seconds / READ_TIMEOUTS),
            read_timeout=self._seconds / READ_TIMEOUTS,
            retries={"mode": "standard"},
        )
        client: S3Client = boto3.Session().client("s3", config=config)
        return client


def _md5_of(answer: Mapping[str, Any]) -> str | None:
    """Return the MD5 that S3 tells of an object, or None if its tag is something else."""
    if answer.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in answer:
        return None
    found = MD5_TAG.fullmatch(answer["ETag"])
    return found[1] if found else None

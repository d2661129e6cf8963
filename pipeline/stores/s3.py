"""A store in an S3 bucket, or in a server that speaks S3: the only place where boto3 is used.

Credentials, region and endpoint come from boto3's own chain (environment, shared files, IAM roles;
`AWS_ENDPOINT_URL_S3` for other servers), and retries are botocore's.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError

from pipeline.stages.errors import ObjectExists, ObjectMissing, StoreError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UNREACHABLE_ADVICE = "Check the network, the region and AWS_ENDPOINT_URL_S3."
ADVICE = {
    "NoSuchBucket": "Check the name of the bucket and the region.",
    "AccessDenied": "These credentials may not do this: check the policy of the user or role.",
    "403": "The credentials are wrong or may not do this: check the keys and the policy.",
    "404": "There is no such object, or no such bucket.",
    "InvalidAccessKeyId": "The access key is unknown: check AWS_ACCESS_KEY_ID.",
    "SignatureDoesNotMatch": "The secret key is wrong: check AWS_SECRET_ACCESS_KEY.",
    "ExpiredToken": "The session has expired: sign in again.",
    "NoCredentialsError": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use an IAM role.",
    "EndpointConnectionError": UNREACHABLE_ADVICE,
    "ConnectTimeoutError": UNREACHABLE_ADVICE,
    "ConnectionClosedError": UNREACHABLE_ADVICE,
    "ReadTimeoutError": UNREACHABLE_ADVICE,
    "ParamValidationError": "Check the spelling of the bucket in STORE.",
    "PreconditionFailed": "The object exists, and nothing is ever overwritten.",
    "ConditionalRequestConflict": "Somebody else is writing this object at the same moment.",
    "ProfileNotFound": "Check AWS_PROFILE and the file of profiles, ~/.aws/config.",
    "RetriesExceededError": "The connection broke off each time: check the network.",
    "ValueError": "Check AWS_ENDPOINT_URL_S3.",
}
"""What to do about an error, by the code that S3 gave or the name of the exception."""

MISSING = {"NoSuchKey", "404"}
TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}

# s3transfer's own errors have no base class, and a ValueError is how boto3 refuses an endpoint.
BOTO_ERRORS = (BotoCoreError, Boto3Error, RetriesExceededError, S3DownloadFailedError, ValueError)


class S3Store:
    """Objects of one bucket, below an optional prefix."""

    def __init__(self, url: str) -> None:
        """Prepare a client for `s3://bucket[/prefix]`; nothing is sent yet.

        It has a session of its own: boto3's shared one keeps the first credentials it has seen.

        Raises:
            StoreError: the AWS configuration is unusable, such as a profile that is not there.
        """
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/".lstrip("/")
        self._url = f"s3://{bucket}/{self._prefix}".rstrip("/")
        with _explained(f"Cannot open {self._url}"):
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
        prefix = f"{self._prefix}{folder}/"
        pages = self._client.get_paginator("list_objects_v2")
        with _explained(f"Cannot list {self._url}/{folder}"):
            return {
                item["Key"].removeprefix(self._prefix): item["LastModified"]
                for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
                for item in page.get("Contents", [])
                if item["Key"] != prefix
            }

    def read(self, key: str) -> bytes:
        """See `ObjectStore.read`; a connection that breaks half-way is taken up again."""
        content = io.BytesIO()
        with _explained(f"Cannot read {self._url}/{key}"):
            self._client.download_fileobj(self._bucket, self._prefix + key, content)
        return content.getvalue()

    def write_new(self, key: str, content: bytes) -> None:
        """See `ObjectStore.write_new`; S3 itself refuses a taken key (`If-None-Match: *`)."""
        with _explained(f"Cannot write {self._url}/{key}"):
            try:
                self._client.put_object(
                    Bucket=self._bucket, Key=self._prefix + key, Body=content, IfNoneMatch="*"
                )
            except ClientError as error:
                if not self._is_our_own(error, key, content):
                    raise

    def _is_our_own(self, error: ClientError, key: str, content: bytes) -> bool:
        """Tell whether a key is taken because our first try, whose answer got lost, worked."""
        taken = error.response["Error"]["Code"] in TAKEN
        retried = error.response["ResponseMetadata"]["RetryAttempts"] > 0
        return taken and retried and self.read(key) == content


@contextmanager
def _explained(attempt: str) -> Iterator[None]:
    """Turn what boto3 raises into a `StoreError` that says what was tried, why and what to do."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise _error_class(code)(_message(attempt, error, code)) from error
    except BOTO_ERRORS as error:
        raise StoreError(_message(attempt, error, type(error).__name__)) from error


def _message(attempt: str, error: Exception, code: str) -> str:
    """Return what was tried, why it failed and what to do, on one line."""
    reason = " ".join(str(error).split()).rstrip(".")
    return f"{attempt}: {reason}. {ADVICE.get(code, '')}".strip()


def _error_class(code: str) -> type[StoreError]:
    if code in MISSING:
        return ObjectMissing
    return ObjectExists if code in TAKEN else StoreError

"""A store in an S3 bucket, or in a server that speaks S3: the only place where boto3 is used.

Credentials, region and endpoint come from boto3's own chain (environment, shared files, IAM roles;
`AWS_ENDPOINT_URL_S3` for other servers), and retries are botocore's.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.stage_errors import ObjectExists, ObjectMissing, StoreError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOT_ALLOWED = "These credentials may not do this: check the policy of the user or role."
NOT_REACHED = "Check the network, the region and AWS_ENDPOINT_URL_S3."
ADVICE = {
    "NoSuchBucket": "Check the name of the bucket and the region.",
    "AccessDenied": NOT_ALLOWED,
    "403": NOT_ALLOWED,
    "InvalidAccessKeyId": "The access key is unknown: check AWS_ACCESS_KEY_ID.",
    "SignatureDoesNotMatch": "The secret key is wrong: check AWS_SECRET_ACCESS_KEY.",
    "ExpiredToken": "The session has expired: sign in again.",
    "NoCredentialsError": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use an IAM role.",
    "EndpointConnectionError": NOT_REACHED,
    "ConnectTimeoutError": NOT_REACHED,
    "ParamValidationError": "Check the spelling of the bucket in STORE.",
}
"""What to do about an error, by the code that S3 gave or the name of botocore's exception."""

MISSING = {"NoSuchKey", "404"}
TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}


class S3Store:
    """Objects of one bucket, below an optional prefix."""

    def __init__(self, url: str) -> None:
        """Prepare a client for `s3://bucket[/prefix]`; nothing is sent yet.

        Raises:
            StoreError: the AWS configuration is unusable, such as a profile that is not there.
        """
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/".lstrip("/")
        self._url = f"s3://{bucket}/{self._prefix}".rstrip("/")
        with _explained(f"Cannot open {self._url}"):
            self._client: S3Client = boto3.client(
                "s3", config=Config(connect_timeout=5, retries={"mode": "standard"})
            )

    @property
    def url(self) -> str:
        """The bucket and prefix as `s3://bucket/prefix`."""
        return self._url

    def list_keys(self, folder: str) -> list[str]:
        """See `ObjectStore.list_keys`; listings of any length are read page by page."""
        prefix = f"{self._prefix}{folder}/"
        pages = self._client.get_paginator("list_objects_v2")
        with _explained(f"Cannot list {self._url}/{folder}"):
            keys = [
                item["Key"].removeprefix(self._prefix)
                for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
                for item in page.get("Contents", [])
                if item["Key"] != prefix
            ]
        return sorted(keys)

    def read(self, key: str) -> bytes:
        """See `ObjectStore.read`; a connection that breaks half-way is taken up again."""
        content = io.BytesIO()
        with _explained(f"Cannot read {self._url}/{key}"):
            self._client.download_fileobj(self._bucket, self._prefix + key, content)
        return content.getvalue()

    def write_new(self, key: str, content: bytes) -> None:
        """See `ObjectStore.write_new`; S3 itself refuses a taken key (`If-None-Match: *`)."""
        with _explained(f"Cannot write {self._url}/{key}"):
            self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + key, Body=content, IfNoneMatch="*"
            )


@contextmanager
def _explained(attempt: str) -> Iterator[None]:
    """Turn what boto3 raises into a `StoreError` that says what was tried, why and what to do."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise _error_class(code)(f"{attempt}: {error}. {ADVICE.get(code, '')}".strip()) from error
    except (BotoCoreError, Boto3Error) as error:
        advice = ADVICE.get(type(error).__name__, "")
        raise StoreError(f"{attempt}: {error} {advice}".strip()) from error


def _error_class(code: str) -> type[StoreError]:
    if code in MISSING:
        return ObjectMissing
    return ObjectExists if code in TAKEN else StoreError

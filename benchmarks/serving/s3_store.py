"""An S3 server in a process of its own, with a store in it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import boto3

from pipeline.model.artifact import MODELS
from tests.support.local_servers import s3_server

BUCKET = "orders"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "an-access-key",
    "AWS_SECRET_ACCESS_KEY": "a-secret-key",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class BucketStore(NamedTuple):
    """A store in a bucket.

    Attributes:
        url: for our service.
        environment: with which it finds the server and may read.
    """

    url: str
    environment: Mapping[str, str]


@contextmanager
def bucket_store(folder: Path) -> Iterator[BucketStore]:
    """Copy the models of a store in a folder to a bucket of an S3 server, which ends with this."""
    with s3_server() as endpoint:
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
        )
        client.create_bucket(Bucket=BUCKET)
        for path in (folder / MODELS).iterdir():
            client.upload_file(str(path), BUCKET, f"{MODELS}/{path.name}")
        client.close()
        variables = {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": endpoint}
        yield BucketStore(f"s3://{BUCKET}", variables)

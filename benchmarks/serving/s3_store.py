"""An S3 server in a process of its own, with a store in it."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import boto3

from benchmarks.measuring.server_processes import HOST, PORT, Server, running
from pipeline.model.artifact import MODELS

BUCKET = "orders"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "an-access-key",
    "AWS_SECRET_ACCESS_KEY": "a-secret-key",
    "AWS_DEFAULT_REGION": "us-east-1",
}
MOTO = Server([sys.executable, "-m", "moto.server", "-H", HOST, "-p", PORT])


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
    """Copy the models of a store in a folder to a bucket of an S3 server, which ends with this.

    Raises:
        ServerFailure: the server does not start.
    """
    with running(MOTO) as server:
        server.wait_for_port()
        endpoint = server.url("")
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

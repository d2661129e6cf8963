"""What is particular to S3: long listings, lost connections, refusals and their explanations."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from email.message import Message
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request
from uuid import uuid4

import boto3
import pytest

from pipeline.stages.errors import ObjectExists, ObjectMissing, StoreError
from pipeline.stores.base import ObjectStore, open_store
from tests.support.helpers import HTTP, free_port
from tests.support.local_servers import serving

KEY = "models/a.onnx"
ATTEMPTS: dict[str, Callable[[ObjectStore], object]] = {
    "list": lambda store: store.list_keys("models"),
    "read": lambda store: store.read(KEY),
    "write": lambda store: store.write_new(KEY, b"content"),
}

# A failure is reported soon, even if botocore tries again before.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]
every_attempt = pytest.mark.parametrize("attempt", ATTEMPTS)


class UnreliableProxy(ThreadingHTTPServer):
    """Passes requests on to the S3 server, but breaks off some of the answers.

    An answer to PUT is lost as a whole, one to GET half-way through the object.
    """

    def __init__(self, endpoint: str) -> None:
        """Start to listen; `to_break` takes one method for each answer to break off."""
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.target = endpoint.removeprefix("http://")
        self.to_break: list[str] = []
        self.requests: list[tuple[str, Message]] = []

    def breaks_off(self, method: str) -> bool:
        """Tell whether to break off the answer to a request."""
        try:
            self.to_break.remove(method)
        except ValueError:
            return False
        return True


class _ProxyHandler(BaseHTTPRequestHandler):
    server: UnreliableProxy
    protocol_version = "HTTP/1.1"

    def pass_on(self) -> None:
        """Let the S3 server do what is asked for, and return its answer, or a part of it."""
        self.close_connection = True
        self.server.requests.append((self.command, self.headers))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with closing(HTTPConnection(self.server.target)) as connection:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
        broken_off = self.server.breaks_off(self.command)
        if broken_off and self.command == "PUT":
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if broken_off else content)

    do_GET = do_HEAD = do_PUT = pass_on


@pytest.fixture
def proxy(
    s3_store_url: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[UnreliableProxy]:
    """Run a proxy in front of the S3 server, which the stores opened from now on will use."""
    with serving(UnreliableProxy(s3_endpoint)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
        yield server


@pytest.fixture
def access_key(s3_store_url: str, s3_endpoint: str) -> Iterator[tuple[str, str]]:
    """Make the S3 server check credentials, and return those of a user who may only list."""
    user = f"reader-{uuid4()}"
    statement = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    with closing(boto3.client("iam", endpoint_url=s3_endpoint)) as iam:
        iam.create_user(UserName=user)
        iam.put_user_policy(UserName=user, PolicyName="list", PolicyDocument=policy)
        key = iam.create_access_key(UserName=user)["AccessKey"]
    _check_credentials_after(s3_endpoint, "0")
    yield key["AccessKeyId"], key["SecretAccessKey"]
    _check_credentials_after(s3_endpoint, "inf")


def test_a_listing_of_2500_keys_is_complete(s3_store_url: str) -> None:
    names = [f"{number:04}.csv" for number in range(2500)]
    bucket = s3_store_url.removeprefix("s3://").removesuffix("/ttd")
    with closing(boto3.client("s3")) as client, ThreadPoolExecutor(8) as pool:
        for name in names:
            pool.submit(client.put_object, Bucket=bucket, Key=f"ttd/datasets/{name}", Body=b"")

    assert open_store(s3_store_url).list_keys("datasets") == [f"datasets/{name}" for name in names]


def test_keys_outside_the_prefix_are_not_seen(s3_store_url: str) -> None:
    bucket_url = s3_store_url.removesuffix("/ttd")
    for prefix in ("", "/ttd2", "/ttd/ttd", "/other/ttd"):
        open_store(bucket_url + prefix).write_new(KEY, b"content")
    store = open_store(s3_store_url)

    assert store.list_keys("models") == []
    with pytest.raises(ObjectMissing):
        store.read(KEY)
    store.write_new(KEY, b"mine")
    assert open_store(bucket_url).read(KEY) == b"content"
    assert open_store(bucket_url).read(f"ttd/{KEY}") == b"mine"


def test_the_placeholder_of_a_folder_is_not_listed(s3_store_url: str) -> None:
    store = open_store(s3_store_url)
    store.write_new("models/", b"")
    store.write_new(KEY, b"content")

    assert store.list_keys("models") == [KEY]


def test_a_write_asks_s3_to_refuse_a_taken_key(s3_store_url: str, proxy: UnreliableProxy) -> None:
    open_store(s3_store_url).write_new(KEY, b"content")

    [(method, headers)] = proxy.requests
    assert method == "PUT"
    assert headers["If-None-Match"] == "*"


def test_a_write_whose_answer_got_lost_succeeds(s3_store_url: str, proxy: UnreliableProxy) -> None:
    proxy.to_break = ["PUT"]
    store = open_store(s3_store_url)

    store.write_new(KEY, b"content")

    assert [method for method, _ in proxy.requests][:2] == ["PUT", "PUT"]
    assert store.read(KEY) == b"content"


def test_a_lost_answer_does_not_turn_a_taken_key_into_ours(
    s3_store_url: str, proxy: UnreliableProxy
) -> None:
    store = open_store(s3_store_url)
    store.write_new(KEY, b"theirs")
    proxy.to_break = ["PUT"]

    with pytest.raises(ObjectExists):
        store.write_new(KEY, b"ours")

    assert store.read(KEY) == b"theirs"


def test_a_write_without_any_answer_fails(s3_store_url: str, proxy: UnreliableProxy) -> None:
    proxy.to_break = ["PUT"] * 100

    message = _failure_of("write", s3_store_url)

    assert "Connection was closed" in message
    assert "Check the network" in message


@pytest.mark.parametrize("size", [1_000_000, 20_000_000])
def test_a_download_that_breaks_off_is_taken_up_again(
    s3_store_url: str, proxy: UnreliableProxy, size: int
) -> None:
    content = os.urandom(size)
    store = open_store(s3_store_url)
    store.write_new(KEY, content)
    proxy.to_break = ["GET"] * 2

    assert store.read(KEY) == content
    assert proxy.to_break == []


def test_a_download_that_always_breaks_off_fails(s3_store_url: str, proxy: UnreliableProxy) -> None:
    open_store(s3_store_url).write_new(KEY, os.urandom(1_000_000))
    proxy.to_break = ["GET"] * 100

    assert "The connection broke off each time: check the network." in _failure_of(
        "read", s3_store_url
    )


@pytest.mark.parametrize("attempt", ["list", "write"])
def test_a_missing_bucket_is_explained(s3_store_url: str, attempt: str) -> None:
    message = _failure_of(attempt, f"s3://no-bucket-{uuid4()}/ttd")

    assert "The specified bucket does not exist. Check the name of the bucket" in message


def test_a_read_from_a_missing_bucket_is_explained(s3_store_url: str) -> None:
    # S3 says no more than "404" to the first request of a read.
    message = _failure_of("read", f"s3://no-bucket-{uuid4()}/ttd")

    assert "There is no such object, or no such bucket." in message


@every_attempt
@pytest.mark.parametrize("url", ["s3://", "s3://Not a bucket!/ttd"])
def test_an_impossible_bucket_name_is_explained_on_one_line(
    s3_store_url: str, url: str, attempt: str
) -> None:
    message = _failure_of(attempt, url)

    assert "Invalid bucket name" in message
    assert message.endswith("Check the spelling of the bucket in STORE.")
    assert "\n" not in message


@pytest.mark.parametrize("attempt", ["list", "write"])
def test_an_unknown_access_key_is_explained(
    s3_store_url: str, access_key: tuple[str, str], attempt: str
) -> None:
    message = _failure_of(attempt, s3_store_url)

    assert message.endswith("The access key is unknown: check AWS_ACCESS_KEY_ID.")


@pytest.mark.parametrize("attempt", ["list", "write"])
def test_a_wrong_secret_key_is_explained(
    s3_store_url: str,
    access_key: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    attempt: str,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key[0])

    message = _failure_of(attempt, s3_store_url)

    assert message.endswith("The secret key is wrong: check AWS_SECRET_ACCESS_KEY.")


def test_a_read_with_refused_credentials_is_explained(
    s3_store_url: str, access_key: tuple[str, str]
) -> None:
    # S3 says no more than "403" to the first request of a read.
    message = _failure_of("read", s3_store_url)

    assert "The credentials are wrong or may not do this: check the keys" in message


def test_a_forbidden_write_is_explained_and_a_permitted_listing_works(
    s3_store_url: str, access_key: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", access_key[1])

    assert open_store(s3_store_url).list_keys("models") == []
    assert "These credentials may not do this: check the policy" in _failure_of(
        "write", s3_store_url
    )
    assert "may not do this: check the keys and the policy" in _failure_of("read", s3_store_url)


@every_attempt
def test_absent_credentials_are_explained(
    s3_store_url: str, monkeypatch: pytest.MonkeyPatch, attempt: str
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    message = _failure_of(attempt, s3_store_url)

    assert "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use an IAM role." in message


@every_attempt
def test_a_server_that_does_not_listen_is_explained(
    s3_store_url: str, monkeypatch: pytest.MonkeyPatch, attempt: str
) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)

    message = _failure_of(attempt, s3_store_url)

    assert endpoint in message
    assert message.endswith("Check the network, the region and AWS_ENDPOINT_URL_S3.")


@pytest.mark.parametrize(
    ("variable", "value", "explanation"),
    [
        (
            "AWS_PROFILE",
            "nobody",
            "The config profile (nobody) could not be found. "
            "Check AWS_PROFILE and the file of profiles, ~/.aws/config.",
        ),
        (
            "AWS_ENDPOINT_URL_S3",
            "localhost:9000",
            "Invalid endpoint: localhost:9000. Check AWS_ENDPOINT_URL_S3.",
        ),
    ],
    ids=["unknown profile", "endpoint that is no URL"],
)
def test_an_unusable_configuration_is_explained_at_once(
    variable: str, value: str, explanation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(StoreError) as failure:
        open_store("s3://bucket/ttd")

    assert str(failure.value) == f"Cannot open s3://bucket/ttd: {explanation}"


def _failure_of(attempt: str, url: str) -> str:
    """Return how a failure is explained, which names the attempt and the URL first."""
    store = open_store(url)
    with pytest.raises(StoreError) as failure:
        ATTEMPTS[attempt](store)
    message = str(failure.value)
    assert message.startswith(f"Cannot {attempt} {store.url}/models")
    return message


def _check_credentials_after(endpoint: str, unchecked: str) -> None:
    """Let the S3 server check credentials after a number of unchecked requests."""
    headers = {"Content-Type": "text/plain"}
    with HTTP.open(Request(f"{endpoint}/moto-api/reset-auth", unchecked.encode(), headers)):
        pass

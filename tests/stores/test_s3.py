"""What is particular to S3: long listings, lost connections, refusals and their explanations."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.request import Request
from uuid import uuid4

import boto3
import pytest

from pipeline.stages.errors import ObjectExists, ObjectMissing, StoreError
from pipeline.stores.base import ObjectStore, open_store
from pipeline.train_model import main as train_model
from tests.support.helpers import HTTP, SAMPLE_WEEKS, Webhook, logged
from tests.support.store_faults import ALWAYS, FAULTS, Fault, FaultyProxy

KEY = "models/a.onnx"
RUN = "ttd"
LOST = FAULTS["the answer is lost, after the work was done"]
BROKEN_OFF = FAULTS["connection reset in the middle of the answer"]
ATTEMPTS: dict[str, Callable[[ObjectStore], object]] = {
    "list": lambda store: store.list_keys("models"),
    "read": lambda store: store.read(KEY),
    "write": lambda store: store.write_new(KEY, b"content"),
}


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


def test_a_listing_of_several_pages_is_complete(s3_store_url: str) -> None:
    keys = [f"datasets/{number}.csv" for number in range(10, 35)]
    store = open_store(s3_store_url)
    for key in keys:
        store.write_new(key, b"")

    assert store.list_keys("datasets") == keys


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


def test_a_write_whose_answer_got_lost_succeeds(s3_store_url: str, proxy: FaultyProxy) -> None:
    proxy.faults[RUN] = (0, LOST)
    store = open_store(s3_store_url)

    store.write_new(KEY, b"content")

    assert [call.action for call in proxy.calls[RUN][:2]] == ["write", "write"]
    assert store.read(KEY) == b"content"


def test_a_lost_answer_does_not_turn_a_taken_key_into_ours(
    s3_store_url: str, proxy: FaultyProxy
) -> None:
    store = open_store(s3_store_url)
    store.write_new(KEY, b"theirs")
    proxy.faults[RUN] = (len(proxy.calls[RUN]), LOST)

    with pytest.raises(ObjectExists):
        store.write_new(KEY, b"ours")

    assert store.read(KEY) == b"theirs"


@pytest.mark.parametrize("on_condition", ["ignore", "refuse"])
def test_a_server_without_conditional_writes_is_found_out_before_the_training(
    on_condition: str,
    s3_store_url: str,
    proxy: FaultyProxy,
    webhook: Webhook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = open_store(s3_store_url)
    store.write_new(f"datasets/{SAMPLE_WEEKS[0].name}", SAMPLE_WEEKS[0].read_bytes())
    proxy.on_condition = on_condition

    assert train_model([s3_store_url, "--alert-webhook", webhook.url]) == 1

    (error,), (alert,) = logged(caplog, "ERROR"), webhook.texts
    assert error.startswith(f"The server of {s3_store_url} has no conditional writes")
    assert "use AWS S3, or a server that answers the second PUT of a key with 412" in alert
    assert store.list_keys("models") == store.list_keys("reports") == []


def test_a_server_with_conditional_writes_gets_one_small_object_once(s3_store_url: str) -> None:
    store = open_store(s3_store_url)

    for _ in range(2):
        store.check_writes()

    (probe,) = store.list_keys("probe")
    assert store.read(probe) == b"Nothing may overwrite this.\n"


@pytest.mark.parametrize("end", ["datasets/week.csv", "week.CSV.gz", "models/a.onnx"])
def test_the_address_of_a_file_is_no_store(end: str) -> None:
    with pytest.raises(StoreError, match="it is a file"):
        open_store(f"s3://bucket/{end}")


@pytest.mark.parametrize("size", [1_000_000, 20_000_000])
def test_a_download_that_breaks_off_is_taken_up_again(
    s3_store_url: str, proxy: FaultyProxy, size: int
) -> None:
    content = os.urandom(size)
    store = open_store(s3_store_url)
    store.write_new(KEY, content)
    proxy.faults[RUN] = (len(proxy.calls[RUN]), BROKEN_OFF._replace(times=2))

    assert store.read(KEY) == content
    assert len(proxy.calls[RUN]) == 5


@pytest.mark.parametrize(
    ("attempt", "fault", "explanation"),
    [
        ("write", LOST, "Connection was closed"),
        ("read", BROKEN_OFF, "The connection broke off each time: check the network."),
    ],
)
def test_what_always_breaks_off_fails(
    s3_store_url: str, proxy: FaultyProxy, attempt: str, fault: Fault, explanation: str
) -> None:
    if attempt == "read":
        open_store(s3_store_url).write_new(KEY, os.urandom(1_000))
    proxy.faults[RUN] = (len(proxy.calls[RUN]), fault._replace(times=ALWAYS))

    message = _failure_of(attempt, s3_store_url)

    assert explanation in message
    assert "heck the network" in message


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_missing_bucket_is_explained(s3_store_url: str, attempt: str) -> None:
    explanation = "The specified bucket does not exist. Check the name of the bucket"
    assert explanation in _failure_of(attempt, f"s3://no-bucket-{uuid4()}/ttd")


@pytest.mark.parametrize(
    ("knows", "attempt", "explanation"),
    [
        ("nothing", "list", "The access key is unknown: check AWS_ACCESS_KEY_ID."),
        ("nothing", "write", "The access key is unknown: check AWS_ACCESS_KEY_ID."),
        ("nothing", "read", "The access key is unknown: check AWS_ACCESS_KEY_ID."),
        ("the user", "list", "The secret key is wrong: check AWS_SECRET_ACCESS_KEY."),
        ("the user", "write", "The secret key is wrong: check AWS_SECRET_ACCESS_KEY."),
        ("the secret", "write", "These credentials may not do this: check the policy"),
        ("the secret", "read", "These credentials may not do this: check the policy"),
    ],
)
def test_refused_credentials_are_explained(
    s3_store_url: str,
    access_key: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    knows: str,
    attempt: str,
    explanation: str,
) -> None:
    if knows != "nothing":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key[0])
    if knows == "the secret":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", access_key[1])
        assert open_store(s3_store_url).list_keys("models") == [], "which this user may"

    assert explanation in _failure_of(attempt, s3_store_url)


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize(
    ("url", "endpoint", "keys", "explanation"),
    [
        ("s3://", "", "a-key", "Invalid bucket name"),
        ("s3://Not a bucket!", "", "a-key", "Check the spelling of the bucket in STORE."),
        ("s3://bucket", "", "", "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use an IAM"),
        ("s3://bucket", "http://127.0.0.1:9", "a-key", 'endpoint URL: "http://127.0.0.1:9/bucket'),
        ("s3://bucket", "http://127.0.0.1:9", "a-key", "Check the network, the region and AWS_END"),
    ],
)
def test_what_is_not_even_sent_is_explained_on_one_line(
    url: str,
    endpoint: str,
    keys: str,
    explanation: str,
    attempt: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, keys)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)

    message = _failure_of(attempt, url)

    assert explanation in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("variable", "value", "explanation"),
    [
        ("AWS_PROFILE", "nobody", "Check AWS_PROFILE and the file of profiles, ~/.aws/config."),
        ("AWS_ENDPOINT_URL_S3", "localhost:9000", "Check AWS_ENDPOINT_URL_S3."),
    ],
)
def test_an_unusable_configuration_is_explained_at_once(
    variable: str, value: str, explanation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(StoreError, match="^Cannot open s3://bucket/ttd: .*") as failure:
        open_store("s3://bucket/ttd")

    assert str(failure.value).endswith(explanation)


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

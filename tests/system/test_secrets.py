"""Secrets: each has a value that occurs nowhere else, and nothing that the stages tell has it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request

import boto3
import pytest

from pipeline.check_dataset import main as check_dataset
from pipeline.manage_models import main as manage_models
from pipeline.notify_failure import main as notify_failure
from pipeline.serve_model import main as serve_model
from pipeline.stages.settings import NotifySettings, ServeSettings, TrainSettings
from pipeline.train_model import main as train_model
from tests.support.helpers import (
    HTTP,
    NEXT_WEEK,
    PREDICTION,
    SAMPLE_WEEKS,
    WEBHOOK_TOKEN,
    Webhook,
    stop,
)
from tests.support.local_servers import serving
from tests.support.service_clients import watched_service

API_KEYS = ("canary-of-the-first-key", "canary-of-the-second-key")
AWS = {
    "AWS_ACCESS_KEY_ID": "AKIACANARYOFTHEKEYID",
    "AWS_SECRET_ACCESS_KEY": "canary/of+the/secret+key",
    "AWS_SESSION_TOKEN": "canary-of-the-session-token",
}
IN_ENDPOINT = ("canary-of-the-user", "canary-of-the-password")
GIT_TOKEN = "canary-of-the-git-token"
SECRETS = [*API_KEYS, *AWS.values(), *IN_ENDPOINT, WEBHOOK_TOKEN, GIT_TOKEN]
STAGES = (train_model, check_dataset, serve_model, manage_models, notify_failure)
PATHS = ("/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/report")
BUCKET = "canaries"
STORE = f"s3://{BUCKET}"

Stage = Callable[[Sequence[str]], int]


def environment_of(s3_endpoint: str, webhook: Webhook) -> dict[str, str]:
    """Return all variables with secrets, as a deployment may have them."""
    git_url = f"https://deployer:{GIT_TOKEN}@git.example/shop/pipeline.git"
    return AWS | {
        "AWS_ENDPOINT_URL_S3": s3_endpoint.replace("://", f"://{':'.join(IN_ENDPOINT)}@"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "TTD_STORE": STORE,
        "TTD_API_KEY": ",".join(API_KEYS),
        "TTD_ALERT_WEBHOOK": webhook.url,
        "TTD_LOG_LEVEL": "DEBUG",
        "TTD_ACCESS_LOG": "true",
        "GIT_URL": git_url,
        "EXCEPTION_MESSAGE": f"cannot clone {git_url}",
    }


def printed_by(stage: Stage, *arguments: str) -> str:
    """Return what a stage prints and logs, and its exit code."""
    text = StringIO()
    with redirect_stdout(text), redirect_stderr(text):
        try:
            code: object = stage(arguments)
        except SystemExit as end:
            code = end.code
    return f"{text.getvalue()}exit code {code}"


def answers_of(url: str) -> str:
    """Return what a service answers to valid and invalid requests, with and without a key."""
    told = ""
    for key in ("", "wrong", *API_KEYS):
        for path, body in [*((path, None) for path in PATHS), (PREDICTION, b"{}"), ("/no", None)]:
            request = Request(
                url + path, body, {"x-api-key": key, "authorization": f"Bearer {key}"}
            )
            try:
                answer = HTTP.open(request, timeout=30)
            except HTTPError as error:
                answer = error
            with answer:
                told += f"{answer.status} {answer.headers}{answer.read().decode()}"
    return told


@pytest.fixture(scope="module")
def told(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run all stages, well and badly, and return what each has told, by what it was."""
    folder = tmp_path_factory.mktemp("secrets")
    told: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch, serving(Webhook()) as webhook:
        for name, value in environment_of(s3_endpoint, webhook).items():
            patch.setenv(name, value)
        s3 = boto3.Session().client("s3")
        s3.create_bucket(Bucket=BUCKET)
        s3.upload_file(str(SAMPLE_WEEKS[0]), BUCKET, f"datasets/{SAMPLE_WEEKS[0].name}")
        told["training"] = printed_by(train_model)
        s3.put_object(Bucket=BUCKET, Key=NEXT_WEEK, Body=b"product_code\nSKU001\n")
        told["training in JSON that fails"] = printed_by(
            train_model, "s3://no-such-bucket", "--log-format", "json"
        )
        told["notification"] = printed_by(notify_failure)
        webhook.statuses = [500]
        told["training that is refused"] = printed_by(train_model)
        told["alerts"] = str([body for *_, body in webhook.received])
        told["list of models"] = printed_by(manage_models, "list")
        told["service that fails"] = printed_by(serve_model, "--model-key", "models/none.onnx")
        with watched_service(folder, STORE) as service:
            told["answers"] = answers_of(f"http://127.0.0.1:{service.port}")
            stop(service.process)
            told["service"] = service.log
        for stage in STAGES:
            told[f"help of {stage.__module__}"] = printed_by(stage, "--help")
            told[f"mistake of {stage.__module__}"] = printed_by(stage, "--no-such-option=1")
        for settings in (TrainSettings, ServeSettings, NotifySettings):
            read = settings.from_arguments([])
            told[settings.__name__] = f"{read!r} {read} {read.model_dump_json()}"
        for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
            content = s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
            told[item["Key"]] = content.decode(errors="replace")
        yield told


@pytest.mark.parametrize("secret", SECRETS)
def test_nothing_that_is_told_has_a_secret_in_it(secret: str, told: dict[str, str]) -> None:
    forms = {secret, quote(secret, safe="")}
    assert [place for place, text in told.items() if any(form in text for form in forms)] == []


def test_the_stages_did_what_they_should_and_told_it(told: dict[str, str]) -> None:
    codes = {place: text[-1] for place, text in told.items() if "exit code" in text[-14:]}
    failed = {"training in JSON that fails", "service that fails"}
    assert {place for place, code in codes.items() if code == "1"} == failed
    assert codes["training that is refused"] == "3"
    assert "Traceback" in told["training that is refused"], "at level DEBUG"
    assert "cannot clone https://…@git.example/shop/pipeline.git" in told["alerts"]
    assert [key.partition("/")[0] for key in told if key.startswith(("alerts/", "models/"))] == [
        "alerts",
        "models",
    ]
    assert told["answers"].count("401 ") > 10 and told["answers"].count("200 ") > 10
    assert "POST" in told["service"]

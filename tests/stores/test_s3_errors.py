"""Credentials of S3 that are missing, old or broken: one line of advice, and nothing of them."""

import sys
from pathlib import Path

import botocore.exceptions
import pytest

from pipeline.stores.s3_errors import ADVICE
from pipeline.train_model import main
from tests.support.helpers import Webhook, free_port

KEY_ID, SECRET, TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI", "FwoGZXIvYXdzEJr"
KEYS = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}
SSO = "sso_account_id = 1\nsso_role_name = reader\nsso_region = us-east-1\n"
START = "sso_start_url = https://example.awsapps.com/start\n"
SESSION = f"sso_session = mine\n{SSO}[sso-session mine]\nsso_region = us-east-1\n{START}"
ROLE = "role_arn = arn:aws:iam::123456789012:role/reader\n"
PRINT = f"credential_process = {sys.executable} -c"
LINE_BREAK = "Is there a line break or a blank in AWS_ACCESS_KEY_ID"

CASES = {
    "no sign-in to SSO": (SESSION, {}, "Sign in: aws sso login"),
    "no sign-in to SSO, old form": (SSO + START, {}, "Sign in: aws sso login"),
    "a session of aws login": (
        "login_session = arn:aws:iam::1:user/me\n",
        {},
        "aws configure export-credentials --format env",
    ),
    "half a key": (f"aws_access_key_id = {KEY_ID}\n", {}, "Set AWS_ACCESS_KEY_ID and AWS_SECRET"),
    "a process that fails": (
        f"{PRINT} 'import sys; sys.exit(\"{KEY_ID} {SECRET}\")'\n",
        {},
        "What it answered is not shown: it may be secret.",
    ),
    "a process that prints no JSON": (
        f"{PRINT} 'print(\"{KEY_ID} {SECRET}\")'\n",
        {},
        "A credential_process should print JSON",
    ),
    "a file that is none": (f"aws_access_key_id {KEY_ID}\n", {}, "Check the files ~/.aws/config"),
    "a source that is not there": (
        f"{ROLE}source_profile = x\n",
        {},
        "Check the files ~/.aws/config",
    ),
    "a token file that is not there": (
        f"{ROLE}web_identity_token_file = /nowhere\n",
        {},
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ),
    "a line break after the key": ("", KEYS | {"AWS_ACCESS_KEY_ID": f"{KEY_ID}\n"}, LINE_BREAK),
    "a line break after the token": ("", KEYS | {"AWS_SESSION_TOKEN": f"{TOKEN}\r\n"}, LINE_BREAK),
    "a line break after the region": ("", KEYS | {"AWS_DEFAULT_REGION": "us-east-1\n"}, LINE_BREAK),
    "a key in the endpoint": (
        "",
        KEYS | {"AWS_ENDPOINT_URL_S3": f"http://{KEY_ID}:{SECRET}@127.0.0.1:9"},
        "Check the network",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_credential_that_does_not_work_is_advice_in_one_line_and_nowhere_shown(
    name: str,
    tmp_path: Path,
    webhook: Webhook,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    profile, environment, advice = CASES[name]
    (tmp_path / "config").write_text(f"[profile mine]\nregion = us-east-1\n{profile}")
    settings = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}",
        "TTD_ALERT_WEBHOOK": webhook.url,
    } | environment
    if profile:
        settings["AWS_PROFILE"] = "mine"

    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)

    assert main(["s3://bucket", "--log-level", "DEBUG"]) == 1

    (alert,) = webhook.texts
    printed = capfd.readouterr()
    (error,) = [line for line in printed.err.splitlines() if " - ERROR - " in line]
    assert advice in error and advice in alert
    told = printed.out + printed.err + str(webhook.received)
    for secret in (KEY_ID, SECRET, TOKEN, "Credential=", "Signature="):
        assert secret not in told


def test_every_error_of_botocore_about_credentials_has_advice() -> None:
    words = ("Credential", "SSO", "Login", "Token", "Profile", "MetadataRetrieval", "NoRegion")
    kinds = [
        kind
        for name, kind in vars(botocore.exceptions).items()
        if isinstance(kind, type) and any(word in name for word in words)
    ]

    assert len(kinds) >= 15
    for kind in kinds:
        assert any(base.__name__ in ADVICE for base in kind.__mro__), kind.__name__

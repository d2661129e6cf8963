"""The Makefile's targets of deployment pass on what they are given."""

import re
import subprocess

import pytest

from tests.support.helpers import ROOT

URL = "https://github.com/shop/pipeline.git"


@pytest.mark.parametrize(
    ("arguments", "recipe"),
    [
        (f"deploy GIT_URL={URL}", f"tox run -e deploy -- '{URL}' --branch 'master'  "),
        (
            f"deploy GIT_URL={URL} BRANCH=release COMMIT=5210017 IMAGE=shop/pipeline:1",
            f"tox run -e deploy -- '{URL}' --branch 'release' --commit '5210017' "
            "--image 'shop/pipeline:1'",
        ),
        (
            "deploy-plain OVERLAY=plain-staging TRAIN_IMAGE=t SERVE_IMAGE=s SERVICE_URL=http://a",
            "tox run -e deploy-plain -- 'plain-staging' --train-image 't' --serve-image 's' "
            "--url 'http://a' ",
        ),
        ("smoke SERVICE_URL=http://a", "tox run -e smoke -- 'http://a' "),
        (
            "smoke SERVICE_URL=http://a COMMIT=5210017",
            "tox run -e smoke -- 'http://a' --commit '5210017'",
        ),
        ("kubeconfig CLUSTER=shop", "tox run -e kubeconfig -- --name 'shop'"),
        ("apply OVERLAY=staging", "kubectl apply --kustomize 'deploy/overlays/staging'"),
        (
            "change-summary BASE=origin/master",
            "tox run -e change-summary -- 'origin/master' 'results/changes.md'",
        ),
        ("test-cluster", "tox run -e cluster"),
        ("test-cluster-on-kind", "deploy/campaign/on_kind.sh"),
    ],
)
def test_arguments_are_passed_on(arguments: str, recipe: str) -> None:
    command = ["make", "--dry-run", *arguments.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert re.sub(r"^\.(venv|tox/runner)/bin/", "", done.stdout.splitlines()[-1]) == recipe


def test_a_missing_aws_command_line_is_told() -> None:
    done = subprocess.run(
        ["make", "kubeconfig", "CLUSTER=a"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )

    assert done.returncode != 0
    assert "make kubeconfig needs the program aws" in done.stderr

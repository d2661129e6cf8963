"""The Makefile's targets of deployment pass on what they are given."""

import subprocess

import pytest

from tests.support.helpers import ROOT

URL = "https://github.com/shop/pipeline.git"


def recipe_of(*arguments: str) -> str:
    """Return the last command that make would run."""
    done = subprocess.run(
        ["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "recipe"),
    [
        (["deploy", f"GIT_URL={URL}"], f"deploy -- '{URL}' --branch 'master' "),
        (
            ["deploy", f"GIT_URL={URL}", "BRANCH=release", "IMAGE=shop/pipeline:1"],
            f"deploy -- '{URL}' --branch 'release' --image 'shop/pipeline:1'",
        ),
        (["deploy"], "deploy -- '' --branch 'master' "),
        (["smoke", "SERVICE_URL=http://a"], "smoke -- 'http://a' "),
        (
            ["smoke", "SERVICE_URL=http://a", "COMMIT=5210017"],
            "smoke -- 'http://a' --commit '5210017'",
        ),
        (["kubeconfig", "CLUSTER=shop"], "kubeconfig -- --name 'shop'"),
        (["test-cluster"], "cluster"),
        (["test-cluster-on-kind"], "deploy/campaign/on_kind.sh"),
    ],
)
def test_arguments_are_passed_on(arguments: list[str], recipe: str) -> None:
    prefix = "" if "on-kind" in arguments[0] else ".venv/bin/tox run -e "

    assert recipe_of(*arguments) == prefix + recipe


def test_a_missing_aws_command_line_is_told() -> None:
    done = subprocess.run(
        ["make", "aws"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )

    assert done.returncode != 0
    assert "make kubeconfig needs the AWS command line" in done.stderr

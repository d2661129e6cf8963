"""Files around the code agree with it and with each other."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from pipeline.stages.settings import ServeSettings, TrainSettings
from tests.support.helpers import ROOT

BODYWORK = yaml.safe_load((ROOT / "bodywork.yaml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSION = (ROOT / "VERSION").read_text().strip()
AWS = dict.fromkeys(
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3"],
    "aws-credentials",
)
GIT = dict.fromkeys(["GIT_USERNAME", "GIT_TOKEN"], "git")
SECRETS = {
    "train_model": {"TTD_STORE": "store", "TTD_ALERT_WEBHOOK": "alerts", **AWS, **GIT},
    "serve_model": {"TTD_STORE": "store", "TTD_API_KEY": "api-key", **AWS, **GIT},
    "notify_failure": {"TTD_STORE": "store", "TTD_ALERT_WEBHOOK": "alerts", **AWS, **GIT},
}
"""Which secret holds a variable of a stage; docs/deploy/bodywork.md creates them."""
PEERS = sorted(path.name for path in (ROOT / "benchmarks" / "peers").glob("*_server.py"))
BOTH_STAGES, EXTRAS = (
    PROJECT["project"][name] for name in ("dependencies", "optional-dependencies")
)
PINNED = {
    "requirements_pipe.txt": BOTH_STAGES + EXTRAS["serve"] + EXTRAS["train"],
    "requirements_serve.txt": BOTH_STAGES + EXTRAS["serve"],
    "requirements_lowest.txt": BOTH_STAGES + EXTRAS["serve"] + EXTRAS["train"],
    "requirements_dask.txt": BOTH_STAGES + [one for extra in EXTRAS.values() for one in extra],
    "requirements_runner.txt": PROJECT["dependency-groups"]["runner"],
    "requirements_cicd.txt": PROJECT["dependency-groups"]["cicd"],
    "requirements_bodywork.txt": PROJECT["dependency-groups"]["bodywork"],
    "notebooks/requirements_nb.txt": PROJECT["dependency-groups"]["notebook"],
}


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    requirements = [line.split(";")[0].strip(" \\") for line in lines if re.match(r"\w", line)]
    return dict(requirement.split("==") for requirement in requirements)


def script_pins(name: str) -> dict[str, str]:
    """Return the requirements inside a script, which are all exact."""
    inside = re.findall(r"^# (.*)$", (ROOT / name).read_text().split("# ///")[1], re.MULTILINE)
    return dict(pin.split("==") for pin in tomllib.loads("\n".join(inside[1:]))["dependencies"])


def uncommented(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("name", PINNED)
def test_every_requirement_has_an_exact_pin(name: str) -> None:
    wanted = {re.split(r"[\[<=>]", requirement)[0] for requirement in PINNED[name]}

    assert wanted - set(pins(name)) == set()


@pytest.mark.parametrize("requirement", PINNED["requirements_lowest.txt"])
def test_every_requirement_has_bounds_of_which_the_lower_one_is_tried(requirement: str) -> None:
    name, lower, upper = re.split(r"(?:\[\w+\])?[<>]=?|,<", requirement)
    assert lower and upper
    assert (pins("requirements_lowest.txt")[name] + ".0.0").startswith(f"{lower}.")


@pytest.mark.parametrize("name", PINNED)
def test_every_pin_has_hashes(name: str) -> None:
    text = (ROOT / name).read_text()

    # Each begins a line that goes on with its hashes.
    assert len(re.findall(r"==.* \\\n +--hash=sha256:", text)) == len(pins(name))


def test_serving_alone_has_the_versions_of_both_stages_and_nothing_of_training() -> None:
    serving, both = pins("requirements_serve.txt"), pins("requirements_pipe.txt")

    assert serving.items() <= both.items()
    assert not serving.keys() & {"pandas", "scikit-learn", "scipy", "matplotlib", "pyarrow"}


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_can_read_the_tree_that_the_benchmark_writes(peer: str) -> None:
    ours, theirs = pins("requirements_pipe.txt"), script_pins(f"benchmarks/peers/{peer}")

    for package in ("joblib", "numpy", "scikit-learn"):
        assert theirs[package] == ours[package]


def test_the_version_is_told_in_one_place() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    assert BODYWORK["pipeline"]["docker_image"].endswith(":latest")


def test_a_platform_with_a_procfile_installs_the_pins_on_a_python_that_is_tested() -> None:
    assert uncommented(ROOT / "requirements.txt") == ["-r requirements_pipe.txt"]
    (python,) = uncommented(ROOT / ".python-version")
    assert f"[testenv:py{python.replace('.', '')}-unit" in (ROOT / "tox.ini").read_text()


def test_bodywork_trains_then_serves_and_tells_of_a_failure() -> None:
    pipeline, stages = BODYWORK["pipeline"], BODYWORK["stages"]

    assert pipeline["DAG"] == "train_model >> serve_model"
    assert pipeline["run_on_failure"] == "notify_failure"
    assert pipeline["usage_stats"] is False
    assert TrainSettings.from_arguments(stages["train_model"]["args"]).on_refusal == "keep"
    settings = ServeSettings.from_arguments(stages["serve_model"]["args"])
    assert (settings.host, settings.port) == ("::", 8000)
    assert stages["serve_model"]["service"].items() >= {
        ("port", settings.port),
        ("replicas", 2),
        ("ingress", False),
    }


@pytest.mark.parametrize("stage", SECRETS)
def test_a_stage_needs_no_package_index_and_gets_its_secrets(stage: str) -> None:
    config = BODYWORK["stages"][stage]

    assert "requirements" not in config
    assert config["secrets"] == SECRETS[stage]
    # Bodywork cannot tell the state of a job that has failed twice, and raises something else.
    assert config.get("batch", {}).get("retries", 0) == 0


def test_no_folder_or_module_shadows_a_library() -> None:
    # Bodywork runs `python train_model.py` inside pipeline/, which puts it first on the path.
    libraries = sys.stdlib_module_names | packages_distributions().keys()
    ours = {path.stem for path in (ROOT / "pipeline").rglob("*.py")}
    ours |= {path.name for path in (ROOT / "pipeline").rglob("*/")}

    assert {"train_model", "orders", "csv_rows"} <= ours
    assert ours & libraries <= {"__init__"}

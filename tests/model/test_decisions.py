"""Which model of a store counts after people pinned, withdrew or restored some."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.manage_models import main
from pipeline.model.artifact import MODELS, artifact_key
from pipeline.model.decisions import DECISIONS, withdrawn_datasets
from pipeline.model.reader import newest_model_key
from pipeline.stages.errors import ArtifactError
from pipeline.stores.base import ObjectStore, open_store
from pipeline.stores.timestamped_keys import name_of
from pipeline.train_model import main as train_model
from tests.support.helpers import ROOT, SAMPLE_WEEKS, logged, names_in


@pytest.fixture(params=["folder", "S3"])
def url(request: pytest.FixtureRequest, trained_store: Path, tmp_path: Path) -> str:
    """Return the URL of a store with an older copy and the model of the trained store."""
    is_s3 = request.param == "S3"
    url = request.getfixturevalue("s3_store_url") if is_s3 else str(tmp_path)
    store, trained = open_store(url), open_store(str(trained_store))
    (key,) = trained.list_keys(MODELS)
    store.write_new(key, trained.read(key))
    store.write_new(artifact_key(MODELS, datetime(2026, 11, 1, tzinfo=UTC), b"older"), b"older")
    return url


def versions(store: ObjectStore) -> tuple[str, str]:
    older, newer = map(name_of, store.list_keys(MODELS))
    return older, newer


def test_a_withdrawn_model_counts_no_more_until_it_is_restored(url: str) -> None:
    store = open_store(url)
    older, newer = versions(store)

    assert main(["withdraw", newer, url, "--reason", "halved labels"]) == 0
    assert name_of(newest_model_key(store)) == older
    (decision,) = withdrawn_datasets(store).values()
    assert (decision.model_version, decision.reason) == (newer, "halved labels")

    assert main(["restore", newer, url]) == 0
    assert name_of(newest_model_key(store)) == newer
    assert withdrawn_datasets(store) == {}


def test_the_dataset_of_a_withdrawn_model_is_not_trained_on_until_it_is_restored(
    production: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (model,) = names_in(production / MODELS)
    main(["withdraw", model, str(production), "--reason", "halved\nlabels "])

    dataset = f"datasets/{SAMPLE_WEEKS[-1].name}"
    assert train_model([str(production), "--dataset-key", dataset]) == 3
    assert train_model([str(production)]) == 3
    assert "the model of this week was withdrawn (halved labels)." in logged(caplog, "ERROR")[0]
    assert [vars(line)["dataset"] for line in caplog.records if line.levelname == "ERROR"] == [
        dataset,
        dataset,
    ]
    assert names_in(production / MODELS) == [model]

    main(["restore", model, str(production)])
    assert train_model([str(production), "--retrain"]) == 0
    assert len(names_in(production / MODELS)) == 2


def test_a_pinned_model_counts_though_there_are_newer_ones(production: Path) -> None:
    store = open_store(str(production))
    (pinned,) = map(name_of, store.list_keys(MODELS))
    store.write_new(artifact_key(MODELS, datetime(2100, 1, 1, tzinfo=UTC), b"newer"), b"newer")

    assert main(["pin", pinned, str(production)]) == 0
    assert name_of(newest_model_key(store)) == pinned
    assert main(["restore", pinned, str(production)]) == 0
    assert name_of(newest_model_key(store)) != pinned


def test_without_a_model_that_is_not_withdrawn_nothing_is_served(production: Path) -> None:
    store = open_store(str(production))
    (only,) = map(name_of, store.list_keys(MODELS))

    assert main(["withdraw", only, str(production)]) == 0
    with pytest.raises(ArtifactError, match="There is no model under"):
        newest_model_key(store)


def test_list_and_show_tell_the_state_and_the_facts(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    older, newer = versions(open_store(url))
    main(["pin", newer, url])

    assert main(["list", url]) == 0
    _, first, *second = capsys.readouterr().out.splitlines()
    assert first.split()[1:] == [newer, *"1,000 0.61 h 87% – served pinned".split()]
    assert older in second[0] and "is not an ONNX model" in " ".join(" ".join(second).split())
    assert main(["show", newer, url]) == 0
    assert json.loads(capsys.readouterr().out)["dataset"]["rows"] == 1_000


def test_a_list_of_which_nobody_reads_the_end_is_no_error(trained_store: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "pipeline.manage_models", "list", str(trained_store)]
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_model_that_is_not_there_is_named(
    production: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["withdraw", "time_to_dispatch_1", str(production)]) == 1

    (error,) = logged(caplog, "ERROR")
    assert error.startswith("There is no model time_to_dispatch_1 under ")
    assert not (production / DECISIONS).exists()


@pytest.mark.parametrize("arguments", [["lits"], [], ["list", "a", "b"], ["pin"]])
def test_wrong_usage_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ttd-models") and line.endswith("(see --help)")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])

    assert capsys.readouterr().out.startswith("time-to-dispatch ")

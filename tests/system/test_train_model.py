"""Stage 1 as a whole: what it publishes, what it refuses, and what it leaves alone."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.model.order import HOURS
from pipeline.model.reader import DispatchModel, load_model
from pipeline.orders.simulator import simulate_orders
from pipeline.stores.directory import DirectoryStore
from pipeline.train_model import main
from tests.support.helpers import ROOT, deliver, logged


def models_in(store: Path) -> list[str]:
    return DirectoryStore(str(store)).list_keys("models")


def newest_model(store: Path) -> DispatchModel:
    return load_model(DirectoryStore(str(store)))


def test_the_newest_week_becomes_a_model(
    sample_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main([str(sample_store)]) == 0

    model = newest_model(sample_store)
    metadata = model.metadata
    messages = logged(caplog, "INFO")
    assert messages[0] == "Starting train-model stage."
    assert messages.count("There is no model in production to compare with.") == 1
    assert "R² 0.98" in caplog.text
    assert logged(caplog, "WARNING") == []
    assert metadata.dataset.key == "datasets/time_to_dispatch_2026-11-20T23-00-00.csv"
    assert metadata.dataset.rows == 1000
    assert metadata.metrics.train_rows + metadata.metrics.test_rows == 1000
    assert metadata.metrics.test_rows == pytest.approx(200, abs=5)
    assert metadata.outliers.rows == 0
    assert (metadata.comparison, metadata.drift, metadata.refused_because) == (None, (), ())
    estimate = model.estimate({"product_code": ["SKU001"], "orders_placed": [112]})
    assert estimate == pytest.approx([8.28], abs=0.3)


def test_bad_rows_are_counted_in_log_and_metadata_and_refused_above_their_share(
    sample_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    week = simulate_orders(500, seed=1).to_csv(index=False)
    deliver(sample_store, week + "SKU001,-4,2\nSKU001,4,soon\n")

    assert main([str(sample_store), "--max-rejected-share", "0.003"]) == 3
    assert "are bad, more than the limit of 0.003." in caplog.text

    assert main([str(sample_store)]) == 0
    assert "2 of 502 rows (0.40%)" in caplog.text
    assert newest_model(sample_store).metadata.dataset.rejected_rows == 2


def test_labels_that_all_agree_are_refused(
    sample_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(sample_store, simulate_orders(500, seed=1).assign(hours_to_dispatch=0.0))

    assert main([str(sample_store)]) == 3

    (error,) = logged(caplog, "ERROR")
    assert "R² is not defined: the hours of all test rows" in error
    assert models_in(sample_store) == []


def test_a_week_in_which_orders_do_not_matter_gets_the_mean_of_each_product(
    sample_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    week = simulate_orders(1_000, seed=1)
    deliver(
        sample_store,
        week.assign(orders_placed=week["orders_placed"].sample(frac=1, random_state=1).tolist()),
    )

    assert main([str(sample_store)]) == 0

    assert newest_model(sample_store).metadata.regressor == "mean per product"
    assert "Products with the same estimate for every number of orders" in caplog.text


def test_too_many_outliers_are_refused(
    sample_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    week = simulate_orders(1_000, seed=2)
    week.loc[week.sample(300, random_state=1).index, HOURS] *= 10
    deliver(sample_store, week)

    assert main([str(sample_store)]) == 3

    (error,) = logged(caplog, "ERROR")
    assert re.search(r"2\d\d rows \(2\d\.\d%\) are outliers, more than the limit of 0.05", error)
    assert "A larger --max-outlier-share accepts them." in error
    assert models_in(sample_store) == []


def test_a_quiet_week_is_published_with_a_warning_unless_people_want_a_floor_of_r_squared(
    sample_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quiet = simulate_orders(8_000, seed=3).query("orders_placed < 40")
    deliver(sample_store, quiet)

    assert main([str(sample_store), "--r2-error-threshold", "0.8"]) == 3

    (error,) = logged(caplog, "ERROR")
    assert re.match(r"Refused: R² 0\.[45]\d+ is below the limit of 0\.8\.\n", error)
    assert "is at the noise floor of" in error
    assert "a lower --r2-error-threshold accepts that" in error
    assert models_in(sample_store) == []
    store = DirectoryStore(str(sample_store))
    (refused,) = store.list_keys("refused")
    assert refused in error
    assert load_model(store, refused).metadata.refused_because[0].summary in error

    assert main([str(sample_store)]) == 0
    assert len(models_in(sample_store)) == 1
    assert "is below the limit of 0.9 (--r2-warning-threshold)." in logged(caplog, "WARNING")[-1]


@pytest.mark.parametrize("share", [0.45, 0.55, 0.65])
def test_a_product_part_of_which_took_no_time_is_refused_or_named(
    share: float, sample_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    week = simulate_orders(2_000, seed=5, hours_per_order={f"P{i}": 0.06 for i in range(10)})
    from_stock = week[week["product_code"] == "P3"].sample(frac=share, random_state=1).index
    deliver(
        sample_store,
        week.assign(hours_to_dispatch=week[HOURS].mask(week.index.isin(from_stock), 0)),
    )

    code = main([str(sample_store)])

    assert code in (0, 3)
    assert any("'P3'" in line for line in logged(caplog, "ERROR" if code else "WARNING"))


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_the_intervals_hold_the_share_of_a_fresh_week_that_was_asked_for(
    level: float, sample_store: Path
) -> None:
    assert main([str(sample_store), "--interval-level", str(level)]) == 0

    model = newest_model(sample_store)
    fresh = simulate_orders(5_000, seed=77)
    codes = fresh["product_code"].tolist()
    lower, upper = model.bounds(codes, model.estimate(fresh))
    assert fresh[HOURS].between(lower, upper).mean() == pytest.approx(level, abs=0.04)
    assert model.metadata.interval.level == level


def test_a_model_below_the_warning_threshold_is_published_with_a_warning(
    sample_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main([str(sample_store), "--r2-warning-threshold", "0.999"]) == 0

    assert "is below the limit of 0.999 (--r2-warning-threshold)." in caplog.text
    assert len(models_in(sample_store)) == 1


def test_a_given_week_is_trained_on_though_there_is_a_newer_one(
    sample_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = "datasets/time_to_dispatch_2026-11-13T23-00-00.csv"

    assert main([str(sample_store), "--dataset-key", key]) == 0

    assert newest_model(sample_store).metadata.dataset.key == key
    assert logged(caplog, "WARNING") == [f"Training on {key}, newest or not: --dataset-key is set."]


@pytest.mark.parametrize(
    ("key", "code", "reason"),
    [
        ("datasets/week 47.csv", 3, "a dataset is not named like that."),
        ("time_to_dispatch_2026-11-13T23-00-00.csv", 3, "a dataset is not named like that."),
        ("datasets/time_to_dispatch_2062-11-13T23-00-00.csv", 3, "days ahead of the clock."),
        ("datasets/time_to_dispatch_2021-11-13T23-00-00.csv", 1, "there is no such file."),
    ],
)
def test_a_given_week_that_is_none_is_named(
    key: str, code: int, reason: str, sample_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main([str(sample_store), "--dataset-key", key]) == code

    (error,) = logged(caplog, "ERROR")
    assert key in error.splitlines()[0] and error.splitlines()[0].endswith(reason)


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("nowhere", "Cannot open the store {}: there is no such folder."),
        ("", "There is no dataset in the store."),
    ],
    ids=["no folder", "no dataset"],
)
def test_a_store_without_dataset_is_an_error_without_traceback(
    folder: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = f"{tmp_path}/{folder}"

    assert main([store]) == 1

    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("  - ")]
    (error,) = [line for line in lines if " - INFO - " not in line]
    assert " - ERROR - " in error and reason.format(store) in error


def test_two_trainings_at_once_leave_only_whole_models(sample_store: Path) -> None:
    command = [sys.executable, "-m", "pipeline.train_model", str(sample_store), "--retrain"]
    runs = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    codes = [run.wait() for run in runs]

    published = models_in(sample_store)
    assert codes.count(0) == len(published) >= 1
    for key in published:
        load_model(DirectoryStore(str(sample_store)), key)


@pytest.mark.parametrize(
    ("command", "folder"),
    [(["-m", "pipeline.train_model"], ROOT), (["train_model.py"], ROOT / "pipeline")],
    ids=["as a module from the root", "as a script inside pipeline"],
)
def test_the_stage_runs_as_a_process(command: list[str], folder: Path, sample_store: Path) -> None:
    run = subprocess.run(
        [sys.executable, *command, str(sample_store), "--log-format", "json"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )

    first, *_, last = [json.loads(line) for line in run.stderr.splitlines()]
    assert run.returncode == 0
    assert (first["module"], first["function"]) == ("train_model", "main")
    assert first["message"] == "Starting train-model stage."
    assert last["message"] == "Finished train-model stage."


@pytest.mark.parametrize(
    ("options", "stage", "phase"),
    [
        (["-X", "importtime"], "train_model", "numpy"),
        (["-X", "importtime"], "check_dataset", "numpy"),
        ([], "train_model", "Starting"),
        ([], "serve_model", "running on"),
    ],
    ids=["imports", "imports of the check", "training", "serving"],
)
def test_an_interrupt_ends_any_phase_with_one_line(
    options: list[str], stage: str, phase: str, production: Path
) -> None:
    command = [sys.executable, *options, "-m", f"pipeline.{stage}", str(production)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        while phase not in run.stderr.readline():
            assert run.poll() is None
        run.send_signal(signal.SIGINT)
        *_, last = run.stderr.readlines()

    assert run.returncode == 130
    assert last.endswith("Interrupted.\n")


@pytest.mark.parametrize("option", ["--help", "--unknown"])
def test_help_and_wrong_usage_have_their_exit_codes(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([option])

    assert end.value.code == (0 if option == "--help" else 2)
    assert option in "".join(capsys.readouterr())

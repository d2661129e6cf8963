"""What is released: the new model beside the one in production, refusals, alerts, and drift.

All of it through the stage's `main`, on stores as they are in production.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.manage_models import main as manage_models
from pipeline.model.artifact import MODELS, REFUSED, REPORTS, artifact_key
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.model.reader import DispatchModel, load_model
from pipeline.orders.simulator import simulate_orders
from pipeline.stores.base import open_store
from pipeline.stores.directory import DirectoryStore
from pipeline.train_model import main
from tests.support.helpers import (
    NEXT_WEEK,
    WEBHOOK_TOKEN,
    Webhook,
    deliver,
    free_port,
    logged,
    names_in,
)
from tests.support.order_files import deliver_parts

pytestmark = pytest.mark.slow

ORDINARY = simulate_orders(1_000, seed=2)
NO_CHAMPION = "There is no model in production to compare with."


def in_minutes(*products: str) -> pd.DataFrame:
    """Return a week in which the labels of some products, or of all, are minutes."""
    is_wrong = ORDINARY[PRODUCT].isin(products or ORDINARY[PRODUCT].unique())
    return ORDINARY.assign(hours_to_dispatch=ORDINARY[HOURS].mask(is_wrong, 60 * ORDINARY[HOURS]))


SWAPPED = ORDINARY.replace({PRODUCT: {"SKU003": "SKU004", "SKU004": "SKU003"}})
LOWER_CASE = ORDINARY.assign(product_code=ORDINARY[PRODUCT].str.lower())
TWO_MISSING = ORDINARY[~ORDINARY[PRODUCT].isin(["SKU001", "SKU002"])]
TOO_LONG = ORDINARY.assign(hours_to_dispatch=ORDINARY[HOURS] + 8)


def week_of_many_products(rows_per_product: int, seed: int) -> pd.DataFrame:
    """Return orders of 100 products that each have a level and a slope of their own."""
    truth = np.random.default_rng(99)
    levels, slopes = truth.uniform(0, 20, 100), truth.uniform(0.02, 0.1, 100)
    random = np.random.default_rng(seed)
    product = np.repeat(np.arange(100), rows_per_product)
    orders = random.integers(321, size=len(product))
    noise = random.normal(scale=0.8, size=len(product))
    hours = np.maximum(levels[product] + slopes[product] * orders + noise, 0)
    codes = [f"P{i:02}" for i in product]
    return pd.DataFrame({PRODUCT: codes, ORDERS: orders, HOURS: hours.round(3)})


def refused_model(store: Path) -> DispatchModel:
    """Return the only model that was refused in a store."""
    (name,) = names_in(store / REFUSED)
    return load_model(DirectoryStore(str(store)), f"{REFUSED}/{name}.onnx")


def newest_model(store: Path) -> DispatchModel:
    return load_model(DirectoryStore(str(store)))


@pytest.fixture
def champion(production: Path) -> DispatchModel:
    """Return the model in production."""
    return newest_model(production)


@pytest.fixture
def few_rows_of_many_products(tmp_path: Path) -> Path:
    """Return a store with a model of 100 products of 50 rows each, and a next week of ten each."""
    deliver(tmp_path, week_of_many_products(50, seed=1))
    assert main([str(tmp_path)]) == 0
    deliver(tmp_path, week_of_many_products(10, seed=2))
    return tmp_path


# Weeks unlike the last


@pytest.mark.parametrize(
    ("week", "reasons"),
    [
        (in_minutes(), ["100.0% of its rows", "is off by"]),
        (in_minutes("SKU001", "SKU002"), ["39.1% of its rows", "is off by"]),
        (SWAPPED, ["Products: 'SKU004', 'SKU003' (now 0.3"]),
        (TOO_LONG, ["has a mean absolute error of 7.9", "usual error (limit 8)"]),
        (LOWER_CASE, ["100.0% of the last rows", "'SKU001' is now 'sku001'"]),
        (TWO_MISSING, ["of products that vanished", "'SKU001'", "'SKU002'"]),
    ],
    ids=["minutes", "two in minutes", "swapped", "8 h too long", "other case", "two missing"],
)
def test_a_week_unlike_the_last_is_refused_until_people_accept_it(
    week: pd.DataFrame,
    reasons: list[str],
    production: Path,
    champion: DispatchModel,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deliver(production, week)

    assert main([str(production)]) == 3

    (error,) = logged(caplog, "ERROR")
    assert "this week is unlike the last" in error and "--accept-shift" in error
    for reason in reasons:
        assert reason in error
    assert names_in(production / MODELS) == [champion.version]

    assert main([str(production), "--accept-shift"]) == 0
    assert newest_model(production).metadata.refused_because == ()
    assert len(names_in(production / MODELS)) == 2


def test_a_week_of_other_products_that_is_accepted_is_published_with_a_warning(
    production: Path, champion: DispatchModel, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(production, simulate_orders(1_000, 5, {"X1": 0.05, "X2": 0.08}))

    assert main([str(production), "--accept-shift"]) == 0

    warnings = "\n".join(logged(caplog, "WARNING"))
    assert "Nothing could be compared with the model in production" in warnings
    assert champion.version in warnings
    comparison = newest_model(production).metadata.comparison
    assert comparison is not None and comparison.compared_rows == 0


def test_orders_that_lost_their_rows_are_refused_beside_a_champion_that_rises(
    production: Path,
) -> None:
    shuffled = ORDINARY[ORDERS].sample(frac=1, random_state=1).tolist()
    deliver(production, ORDINARY.assign(orders_placed=shuffled))

    assert main([str(production)]) == 3

    broken = [failure.rule for failure in refused_model(production).metadata.refused_because]
    assert "flat_estimates" in broken


# Champions that cannot be read


def spoil(production: Path, champion: DispatchModel, content: bytes, is_renamed: bool) -> None:
    """Replace the bytes of the champion, and give them the name that they should have or not."""
    key = artifact_key(MODELS, champion.metadata.trained_at, content)
    path = production / MODELS / f"{champion.version}.onnx"
    path.unlink()
    (production / key if is_renamed else path).write_bytes(content)


@pytest.mark.parametrize(
    ("change", "is_renamed", "reason"),
    [
        (
            lambda content: content.replace(b'"format_version":3', b'"format_version":9'),
            True,
            "has format 9, and this code knows formats up to 3",
        ),
        (lambda content: content[:-100], False, "is damaged or was renamed"),
        (lambda _: b"not a model", True, "is not an ONNX model"),
    ],
    ids=["unknown format", "truncated", "not a model"],
)
def test_a_champion_that_cannot_be_read_is_not_kept_and_stops_the_release_until_it_is_ignored(
    change: Callable[[bytes], bytes],
    is_renamed: bool,
    reason: str,
    production: Path,
    champion: DispatchModel,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deliver(production, in_minutes())
    content = (production / MODELS / f"{champion.version}.onnx").read_bytes()
    spoil(production, champion, change(content), is_renamed)
    before = names_in(production / MODELS)

    assert main([str(production), "--on-refusal", "keep"]) == 1

    (error,) = logged(caplog, "ERROR")
    assert reason in error and "Going on with" not in error
    assert "Nothing is published" in error and "--ignore-champion" in error
    assert names_in(production / MODELS) == before
    assert names_in(production / REFUSED) == []

    assert main([str(production), "--ignore-champion"]) == 0
    assert "--ignore-champion" in "\n".join(logged(caplog, "WARNING"))
    metadata = newest_model(production).metadata
    assert (metadata.comparison, metadata.drift) == (None, ())
    assert len(names_in(production / MODELS)) == 2


# The champion's error, and how the estimates moved


def test_a_week_like_the_last_is_compared_and_published_without_warning_or_alert(
    production: Path,
    champion: DispatchModel,
    webhook: Webhook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deliver(production, ORDINARY)

    assert main([str(production), "--alert-webhook", webhook.url]) == 0

    metadata = newest_model(production).metadata
    comparison = metadata.comparison
    assert comparison is not None
    assert comparison.champion_version == champion.version
    assert not comparison.same_dataset
    assert comparison.compared_rows == metadata.metrics.test_rows
    assert comparison.champion_error_hours == pytest.approx(0.6, abs=0.1)
    assert comparison.challenger_error_hours == pytest.approx(0.6, abs=0.1)
    assert not any(measure.breached for measure in metadata.drift) and metadata.drift
    assert "in the median over products; most moved " in caplog.text
    assert NO_CHAMPION not in caplog.text
    assert logged(caplog, "WARNING") == webhook.texts == []


def test_a_week_with_too_few_rows_to_beat_the_champion_is_refused_unless_it_is_tolerated(
    few_rows_of_many_products: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = few_rows_of_many_products
    champion = newest_model(store)

    assert main([str(store)]) == 3

    (reason,) = refused_model(store).metadata.refused_because
    assert reason.rule == "champion_error"
    assert f"where the model in production ({champion.version}) has" in reason.details[0]
    (error,) = logged(caplog, "ERROR")
    assert reason.summary in error
    assert all(line in error for line in reason.explanation)
    assert newest_model(store).version == champion.version

    assert main([str(store), "--champion-tolerance", "0.5"]) == 0
    assert newest_model(store).version != champion.version


@pytest.fixture(scope="module")
def made_by_a_commit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a week and its model; the run knew its commit."""
    store = tmp_path_factory.mktemp("made_by_a_commit")
    deliver(store, simulate_orders(300, seed=1))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GIT_COMMIT_HASH", "old")
        assert main([str(store)]) == 0
    return store


@pytest.mark.parametrize(
    ("commit", "options", "published"),
    [
        ("old", [], 1),
        ("", [], 1),
        ("new", [], 2),
        ("old", ["--interval-level", "0.8"], 2),
        ("old", ["--ignore-champion"], 2),
    ],
    ids=["unchanged", "unknown commit", "new commit", "another level", "without champion"],
)
def test_a_dataset_is_published_again_only_by_changed_code_or_settings(
    commit: str,
    options: list[str],
    published: int,
    made_by_a_commit: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = shutil.copytree(made_by_a_commit, tmp_path / "store")
    monkeypatch.setenv("GIT_COMMIT_HASH", commit)

    assert main([str(store), *options]) == 0

    assert len(names_in(store / MODELS)) == len(names_in(store / REPORTS)) == published
    assert ("Nothing is published: time_to" in caplog.text) == (published == 1)


def test_a_dataset_is_trained_on_again_after_a_decision_on_a_product(
    made_by_a_commit: Path, tmp_path: Path
) -> None:
    store = shutil.copytree(made_by_a_commit, tmp_path / "store")
    assert manage_models(["retire", "SKU001", str(store)]) == 0

    for _ in range(2):
        assert main([str(store)]) == 0

    assert len(names_in(store / MODELS)) == 2


def test_a_dataset_is_published_once_though_an_older_model_is_pinned(
    production: Path, champion: DispatchModel
) -> None:
    assert manage_models(["pin", champion.version, str(production)]) == 0
    deliver(production, simulate_orders(1_000, seed=2))

    for _ in range(2):
        assert main([str(production)]) == 0

    assert len(names_in(production / MODELS)) == 2


def test_an_unreadable_model_beside_a_pinned_one_does_not_stop_the_next(
    production: Path, champion: DispatchModel
) -> None:
    assert manage_models(["pin", champion.version, str(production)]) == 0
    damaged = "time_to_dispatch_2026-11-25T00-00-00-000000_0123456789abcdef"
    (production / MODELS / f"{damaged}.onnx").write_bytes(b"damaged")
    deliver(production, simulate_orders(1_000, seed=2))

    assert main([str(production)]) == 0

    assert len(names_in(production / MODELS)) == 3


def test_a_copy_of_the_last_week_under_a_new_name_is_not_published_but_warned_of(
    production: Path, champion: DispatchModel, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(production, (production / champion.metadata.dataset.key).read_text())

    assert main([str(production)]) == 0

    (warning,) = logged(caplog, "WARNING")
    assert warning.endswith(f"{NEXT_WEEK} is a copy of {champion.metadata.dataset.key}.")
    assert names_in(production / MODELS) == [champion.version]


def test_the_same_dataset_is_published_again_with_a_warning_if_people_want_it(
    production: Path, champion: DispatchModel, caplog: pytest.LogCaptureFixture
) -> None:
    assert main([str(production), "--retrain"]) == 0

    (warning,) = logged(caplog, "WARNING")
    assert warning.startswith("The newest dataset is the one that the model in production")
    assert "it has not arrived" in warning
    comparison = newest_model(production).metadata.comparison
    assert comparison is not None and comparison.same_dataset
    recorded = champion.metadata.metrics.mean_absolute_error_hours
    assert comparison.champion_error_hours == pytest.approx(recorded)
    assert comparison.champion_recorded_error_hours == recorded


def skewed_week(seed: int, factor: float = 1.0) -> pd.DataFrame:
    """Return a week of which one order in 25 is a day late, so that the mean is not typical."""
    orders = simulate_orders(2_000, seed)
    hours = orders[HOURS].mask(orders.index % 25 == 0, orders[HOURS] + 24)
    return orders.assign(hours_to_dispatch=factor * hours)


@pytest.fixture
def typical_of_skewed(tmp_path: Path) -> Path:
    """Return a store with a model of the typical hours of a skewed week."""
    deliver(tmp_path, skewed_week(2))
    assert main([str(tmp_path)]) == 0
    return tmp_path


def test_mean_hours_after_typical_ones_are_published_though_they_are_higher(
    typical_of_skewed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = newest_model(typical_of_skewed)
    assert main([str(typical_of_skewed), "--estimate", "mean"]) == 0  # the same week is trained on
    deliver(typical_of_skewed, skewed_week(1))
    assert main([str(typical_of_skewed), "--estimate", "mean", "--max-trend", "1.05"]) == 0

    after = newest_model(typical_of_skewed)
    assert (before.metadata.estimate, after.metadata.estimate) == ("typical", "mean")
    order = {PRODUCT: ["SKU001"], ORDERS: [100.0]}
    assert after.estimate(order) > 1.05 * before.estimate(order)
    changes = [line for line in logged(caplog, "WARNING") if line.startswith("From now on mean")]
    assert len(changes) == 1


def test_a_change_of_the_estimate_hides_no_change_of_the_week(typical_of_skewed: Path) -> None:
    deliver(typical_of_skewed, skewed_week(1, factor=1 / 2.5))

    assert main([str(typical_of_skewed), "--estimate", "mean"]) == 3

    refused = refused_model(typical_of_skewed).metadata.refused_because
    assert "shifted_share" in [failure.rule for failure in refused]


def test_a_week_in_s3_is_compared_with_the_champion_in_s3(
    s3_store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(s3_store_url)
    for name, week in {"06": simulate_orders(500, 1), "13": SWAPPED}.items():
        key = f"datasets/time_to_dispatch_2026-11-{name}T23-00-00.csv"
        store.write_new(key, week.to_csv(index=False).encode())
        main([s3_store_url])

    (model,), (refused,) = store.list_keys(MODELS), store.list_keys(REFUSED)
    assert load_model(store).metadata.dataset.key.endswith("06T23-00-00.csv")
    assert f"Refused model: {s3_store_url}/{refused}" in caplog.text
    names = [Path(key).stem for key in (model, refused)]
    assert store.list_keys(REPORTS) == [f"{REPORTS}/{name}.html" for name in names]


# Refusals


def test_a_refused_model_is_kept_reported_and_told_to_people(
    production: Path,
    champion: DispatchModel,
    webhook: Webhook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deliver(production, SWAPPED)

    command = [str(production), "--max-unfit-share", "1", "--alert-webhook", webhook.url]
    assert main(command) == 3

    refused = refused_model(production)
    report = production / REPORTS / f"{refused.version}.html"
    (reason,) = refused.metadata.refused_because
    assert names_in(production / MODELS) == [champion.version]
    assert names_in(production / REPORTS) == [champion.version, refused.version]
    assert "this week is unlike the last" in report.read_text()
    assert champion.version in report.read_text()
    (error,), (alert,) = logged(caplog, "ERROR"), webhook.texts
    for text in (error, alert):
        assert reason.summary in text and str(report) in text and "Production is untouched" in text
        assert len(text.splitlines()[0]) <= 150
        assert "docs/how-to/refused_weeks.md" in text
    assert f"{production}/{REFUSED}/{refused.version}.onnx" in error


def test_products_that_contradict_the_champion_are_held_back_and_told_to_people_once(
    production: Path, champion: DispatchModel, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    is_one = ORDINARY[PRODUCT] == "SKU003"
    hours = ORDINARY[HOURS].mask(is_one, 1.9 * ORDINARY[HOURS])
    deliver(production, ORDINARY.assign(hours_to_dispatch=hours))
    command = [str(production), "--max-unfit-share", "0.3", "--alert-webhook", webhook.url]

    assert main(command) == 0
    assert main([*command, "--retrain"]) == 0

    model = newest_model(production)
    (alert,) = webhook.texts
    assert model.doubts("SKU003") == ("surprising",) and not model.doubts("SKU001")
    assert "Published, with 1 of 5 products that cannot be trusted: 'SKU003'." in alert
    assert "These keep the curve of an earlier model: 'SKU003'." in alert
    order = {PRODUCT: ["SKU003"], ORDERS: [200.0]}
    assert model.estimate(order) == pytest.approx(champion.estimate(order))
    assert "Held back" in (production / REPORTS / f"{model.version}.html").read_text()
    assert "Held back" in caplog.text
    assert "Surprising: 'SKU003'." in alert and "/reports/" in alert
    assert "cannot be trusted" in "\n".join(logged(caplog, "WARNING"))


def test_curves_that_were_held_back_are_published_once_the_week_is_accepted(
    production: Path, champion: DispatchModel
) -> None:
    is_one = ORDINARY[PRODUCT] == "SKU003"
    hours = ORDINARY[HOURS].mask(is_one, 1.9 * ORDINARY[HOURS])
    deliver(production, ORDINARY.assign(hours_to_dispatch=hours))
    command = [str(production), "--max-unfit-share", "0.3"]
    assert main(command) == 0

    for _ in range(2):
        assert main([*command, "--accept-shift"]) == 0

    model = newest_model(production)
    order = {PRODUCT: ["SKU003"], ORDERS: [200.0]}
    assert model.estimate(order) == pytest.approx(1.9 * champion.estimate(order), rel=0.1)
    assert model.metadata.remarks.held_back == ()
    assert len(names_in(production / MODELS)) == 3


def bad_rows() -> str:
    return simulate_orders(50, seed=1).to_csv(index=False) + "SKU001,-4,2\n" * 5


@pytest.mark.parametrize(
    ("week", "reason"),
    [
        (SWAPPED, "this week is unlike the last"),
        (bad_rows(), "more than the limit of 0.01"),
        ("", "it is empty"),
    ],
    ids=["refused model", "bad rows", "empty dataset"],
)
def test_after_a_refusal_the_stage_may_go_on_with_the_champion(
    week: pd.DataFrame | str,
    reason: str,
    production: Path,
    champion: DispatchModel,
    webhook: Webhook,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("TTD_ALERT_WEBHOOK", webhook.url)
    deliver(production, week)

    assert main([str(production), "--on-refusal", "keep"]) == 0

    (error,), (alert,) = logged(caplog, "ERROR"), webhook.texts
    assert reason in error and reason in alert and champion.version in alert
    assert f"Going on with {champion.version}, since --on-refusal is keep." in error
    assert logged(caplog, "INFO")[-1] == "Finished train-model stage."
    assert names_in(production / MODELS) == [champion.version]


@pytest.mark.parametrize("options", [[], ["--ignore-champion"]], ids=["none", "ignored"])
def test_without_champion_there_is_nothing_to_go_on_with(
    options: list[str], production: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = production if options else tmp_path / "new"
    deliver(store, simulate_orders(500, seed=1).assign(hours_to_dispatch=3.0))

    assert main([str(store), "--on-refusal", "keep", *options]) == 3

    (error,) = logged(caplog, "ERROR")
    assert error.startswith("Refused: R² is not defined") and "Going on" not in error
    assert len(names_in(store / REFUSED)) == 1


def test_a_file_that_is_overlooked_is_told_to_people(
    sample_store: Path, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    (sample_store / "datasets/time_to_dispatch_2026-11-27T23-00.csv").write_text("")

    assert main([str(sample_store), "--alert-webhook", webhook.url]) == 0

    (warning,), (alert,) = logged(caplog, "WARNING"), webhook.texts
    assert "'datasets/time_to_dispatch_2026-11-27T23-00.csv'" in warning
    assert alert == f"time-to-dispatch: {warning}"


def test_a_newer_folder_that_is_not_whole_is_told_to_people_until_it_is(
    sample_store: Path, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    week = simulate_orders(1_000, seed=1)
    parts = {f"part-{n}.parquet": week[n::2].to_parquet() for n in range(2)}
    folder = NEXT_WEEK.replace(".csv", "/")
    store = DirectoryStore(str(sample_store))
    deliver_parts(store, parts, success=False, folder=folder)

    assert main([str(sample_store), "--alert-webhook", webhook.url]) == 0

    (warning,), (alert,) = logged(caplog, "WARNING"), webhook.texts
    assert f"an older one is used: {folder}" in warning
    assert alert == f"time-to-dispatch: {warning}"

    store.write_new(f"{folder}_SUCCESS", b"")
    assert main([str(sample_store), "--alert-webhook", webhook.url]) == 0

    assert load_model(store).metadata.dataset.key == folder
    assert len(webhook.texts) == 1


def test_a_failure_posts_its_reason(tmp_path: Path, webhook: Webhook) -> None:
    assert main([str(tmp_path / "nowhere"), "--alert-webhook", webhook.url]) == 1

    (text,) = webhook.texts
    assert f"Cannot open the store {tmp_path}/nowhere" in text


def test_a_webhook_that_cannot_be_reached_changes_no_exit_code(
    production: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(production, "")
    webhook = f"http://127.0.0.1:{free_port()}/{WEBHOOK_TOKEN}"

    assert main([str(production), "--alert-webhook", webhook, "--on-refusal", "keep"]) == 0

    not_posted, kept = logged(caplog, "WARNING")
    assert "alert could not be posted" in not_posted
    (file,) = (production / "alerts").iterdir()
    assert str(file) in kept
    assert "it is empty" in json.loads(file.read_text())["text"]
    assert WEBHOOK_TOKEN not in caplog.text + file.read_text()


# Drift


def test_drift_is_a_warning_and_no_refusal(
    production: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(production, ORDINARY.head(333))

    assert main([str(production)]) == 0

    (warning,) = logged(caplog, "WARNING")
    assert warning.startswith("Number of rows relative to the week of the model in production is ")
    drift = newest_model(production).metadata.drift
    (breached,) = [measure for measure in drift if measure.breached]
    assert warning.startswith(breached.name)

"""What is released: the new model beside the one in production, refusals, alerts, and drift.

All of it through the stage's `main`, on stores as they are in production.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.model.artifact import MODELS, REFUSED, REPORTS, artifact_key
from pipeline.model.reader import DispatchModel, load_model
from pipeline.orders.csv_rows import HOURS, ORDERS, PRODUCT
from pipeline.orders.simulator import simulate_orders
from pipeline.stores.base import open_store
from pipeline.stores.directory import DirectoryStore
from pipeline.train_model import main
from tests.support.helpers import WEBHOOK_TOKEN, Webhook, deliver, free_port, logged, names_in

pytestmark = pytest.mark.slow

NOTHING_TO_COMPARE = "There is no model in production to compare with."


def week_in_minutes(*products: str) -> pd.DataFrame:
    """Return a week in which the labels of some products, or of all, are minutes."""
    week = simulate_orders(1_000, seed=2)
    wrong = week[PRODUCT].isin(products or week[PRODUCT].unique())
    return week.assign(hours_to_dispatch=week[HOURS].mask(wrong, 60 * week[HOURS]))


def week_of_swapped_codes() -> pd.DataFrame:
    swapped = {"SKU003": "SKU004", "SKU004": "SKU003"}
    return simulate_orders(1_000, seed=2).replace({PRODUCT: swapped})


def week_too_long_by(hours: float) -> pd.DataFrame:
    week = simulate_orders(1_000, seed=2)
    return week.assign(hours_to_dispatch=week[HOURS] + hours)


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


@pytest.fixture(scope="module")
def many_products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a model of 100 products that saw 50 rows of each."""
    store = tmp_path_factory.mktemp("many_products")
    deliver(store, week_of_many_products(50, seed=1))
    assert main([str(store)]) == 0
    (store / "datasets").rename(store / "datasets_of_last_week")
    return store


@pytest.fixture
def few_rows_of_many_products(many_products: Path, tmp_path: Path) -> Path:
    """Return that store with a next week that has only ten rows of each product."""
    store = shutil.copytree(many_products, tmp_path / "many")
    deliver(store, week_of_many_products(10, seed=2))
    return store


# Weeks unlike the last


@pytest.mark.parametrize(
    ("week", "reasons"),
    [
        (week_in_minutes(), ["100.0% of its rows", "is off by"]),
        (week_in_minutes("SKU001", "SKU002"), ["39.1% of its rows", "is off by"]),
        (week_of_swapped_codes(), ["namely 'SKU004', 'SKU003' (now 0.3"]),
        (week_too_long_by(8), ["is off by 7.9", "more than 8 times"]),
    ],
    ids=["minutes", "minutes for two products", "two codes swapped", "8 h too long"],
)
def test_a_week_unlike_the_last_is_refused_until_people_accept_it(
    week: pd.DataFrame,
    reasons: list[str],
    production: Path,
    champion: DispatchModel,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deliver(production, week)

    assert main([str(production)]) == 1

    (error,) = logged(caplog, "ERROR")
    assert "this week is unlike the last" in error and "--accept-shift" in error
    for reason in reasons:
        assert reason in error
    assert names_in(production / MODELS) == [champion.version]

    assert main([str(production), "--accept-shift"]) == 0
    assert newest_model(production).metadata.refused_because == ()
    assert len(names_in(production / MODELS)) == 2


def test_the_rule_that_a_week_breaks_names_its_option(
    production: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(production, week_of_swapped_codes())

    assert main([str(production)]) == 1
    assert "--max-shift 2 since the model in production" in caplog.text

    assert main([str(production), "--max-shift", "4"]) == 0


def test_a_week_of_other_products_is_published_with_a_warning(
    production: Path, champion: DispatchModel, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(production, simulate_orders(1_000, 5, {"X1": 0.05, "X2": 0.08}))

    assert main([str(production)]) == 0

    warnings = "\n".join(logged(caplog, "WARNING"))
    assert "Nothing could be compared with the model in production" in warnings
    assert champion.version in warnings
    comparison = newest_model(production).metadata.comparison
    assert comparison is not None and comparison.compared_rows == 0


# Champions that cannot be read


def as_another_format(production: Path, champion: DispatchModel) -> None:
    """Write an artifact of another format over the champion's, under the name it should have."""
    path = production / MODELS / f"{champion.version}.onnx"
    content = path.read_bytes().replace(b'"format_version":2', b'"format_version":9')
    path.unlink()
    key = artifact_key(MODELS, champion.metadata.trained_at, content)
    (production / key).write_bytes(content)


def truncate(production: Path, champion: DispatchModel) -> None:
    path = production / MODELS / f"{champion.version}.onnx"
    path.write_bytes(path.read_bytes()[:-100])


def write_something_else(production: Path, champion: DispatchModel) -> None:
    path = production / MODELS / f"{champion.version}.onnx"
    path.unlink()
    key = artifact_key(MODELS, champion.metadata.trained_at, b"not a model")
    (production / key).write_bytes(b"not a model")


UNREADABLE = pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (as_another_format, "has format 9, and this code knows format 2 only"),
        (truncate, "is damaged or was renamed"),
        (write_something_else, "is not an ONNX model"),
    ],
    ids=["unknown format", "truncated", "not a model"],
)


@UNREADABLE
def test_a_champion_that_cannot_be_read_stops_the_release_until_people_ignore_it(
    spoil: Callable[[Path, DispatchModel], None],
    reason: str,
    production: Path,
    champion: DispatchModel,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deliver(production, simulate_orders(1_000, seed=2))
    spoil(production, champion)
    before = names_in(production / MODELS)

    assert main([str(production)]) == 1

    (error,) = logged(caplog, "ERROR")
    assert reason in error
    assert "Nothing is published" in error and "--ignore-champion" in error
    assert names_in(production / MODELS) == before
    assert names_in(production / REFUSED) == []

    assert main([str(production), "--ignore-champion"]) == 0
    assert newest_model(production).metadata.comparison is None
    assert len(names_in(production / MODELS)) == 2


@UNREADABLE
def test_a_champion_that_cannot_be_read_is_not_kept(
    spoil: Callable[[Path, DispatchModel], None],
    reason: str,
    production: Path,
    champion: DispatchModel,
    caplog: pytest.LogCaptureFixture,
) -> None:
    spoil(production, champion)

    assert main([str(production), "--on-refusal", "keep"]) == 1

    assert reason in caplog.text
    assert "Going on with" not in caplog.text


def test_ignoring_the_champion_is_said_loudly(
    production: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(production, week_in_minutes())

    assert main([str(production), "--ignore-champion"]) == 0

    assert "--ignore-champion" in "\n".join(logged(caplog, "WARNING"))
    assert newest_model(production).metadata.comparison is None
    assert newest_model(production).metadata.drift == ()


# The champion's error, and how the estimates moved


def test_a_first_model_has_nothing_to_compare_with(
    sample_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main([str(sample_store)]) == 0

    assert logged(caplog, "INFO").count(NOTHING_TO_COMPARE) == 1
    assert newest_model(sample_store).metadata.comparison is None


def test_a_week_like_the_last_is_compared_and_published_without_warning(
    production: Path, champion: DispatchModel, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(production, simulate_orders(1_000, seed=2))

    assert main([str(production)]) == 0

    metadata = newest_model(production).metadata
    comparison = metadata.comparison
    assert comparison is not None
    assert comparison.champion_version == champion.version
    assert not comparison.same_dataset
    assert comparison.compared_rows == metadata.metrics.test_rows
    assert comparison.champion_error_hours == pytest.approx(0.6, abs=0.1)
    assert comparison.challenger_error_hours == pytest.approx(0.6, abs=0.1)
    assert comparison.median_ratio == pytest.approx(1, abs=0.05)
    assert {shift.product_code for shift in comparison.shifts} == set(champion.products)
    assert not any(measure.breached for measure in metadata.drift) and metadata.drift
    assert "in the median over products; most moved " in caplog.text
    assert NOTHING_TO_COMPARE not in caplog.text
    assert logged(caplog, "WARNING") == []


def test_a_week_with_too_few_rows_to_beat_the_champion_is_refused(
    few_rows_of_many_products: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = few_rows_of_many_products
    champion = newest_model(store)

    assert main([str(store)]) == 1

    refused = refused_model(store).metadata
    comparison = refused.comparison
    assert comparison is not None
    assert comparison.champion_error_hours is not None
    assert comparison.challenger_error_hours is not None
    excess = comparison.challenger_error_hours - comparison.champion_error_hours
    (reason,) = refused.refused_because
    assert f"{excess:.2f} h more than the" in reason
    assert f"the model in production ({champion.version}) has on the same rows" in reason
    assert "that --champion-tolerance 0.05 allows" in reason
    (error,) = logged(caplog, "ERROR")
    assert reason in error
    assert "in the median over products; most moved " in caplog.text
    assert newest_model(store).version == champion.version


def test_a_larger_tolerance_publishes_a_model_that_is_worse(
    few_rows_of_many_products: Path,
) -> None:
    store = few_rows_of_many_products
    champion = newest_model(store)

    assert main([str(store), "--champion-tolerance", "0.5"]) == 0

    assert newest_model(store).version != champion.version


def test_the_same_dataset_again_is_published_with_a_warning(
    production: Path, champion: DispatchModel, caplog: pytest.LogCaptureFixture
) -> None:
    assert main([str(production)]) == 0

    (warning,) = logged(caplog, "WARNING")
    assert warning.startswith("The newest dataset is the one that the model in production")
    assert "it has not arrived" in warning
    comparison = newest_model(production).metadata.comparison
    assert comparison is not None and comparison.same_dataset
    recorded = champion.metadata.metrics.mean_absolute_error_hours
    assert comparison.champion_error_hours == pytest.approx(recorded)
    assert comparison.champion_recorded_error_hours == recorded


def test_a_week_in_s3_is_compared_with_the_champion_in_s3(
    s3_store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(s3_store_url)
    for name, week in {"01": simulate_orders(500, 1), "08": week_of_swapped_codes()}.items():
        key = f"datasets/time_to_dispatch_2026-12-{name}T23-00-00.csv"
        store.write_new(key, week.to_csv(index=False).encode())
        main([s3_store_url])

    (model,), (refused,) = store.list_keys(MODELS), store.list_keys(REFUSED)
    assert load_model(store).metadata.dataset.key.endswith("01T23-00-00.csv")
    assert f"kept as {s3_store_url}/{refused}" in caplog.text
    names = [Path(key).stem for key in (model, refused)]
    assert store.list_keys(REPORTS) == [f"{REPORTS}/{name}.html" for name in names]


# Reports


def test_a_published_and_a_refused_model_have_a_report_under_their_names(
    production: Path, champion: DispatchModel, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(production, week_of_swapped_codes())

    assert main([str(production)]) == 1

    refused = refused_model(production)
    assert names_in(production / REPORTS) == [champion.version, refused.version]
    report = production / REPORTS / f"{refused.version}.html"
    assert "this week is unlike the last" in report.read_text()
    assert champion.version in report.read_text()
    (error,) = logged(caplog, "ERROR")
    assert str(report) in error and f"{production}/{REFUSED}/{refused.version}.onnx" in error
    assert "Production is untouched" in error
    assert names_in(production / MODELS) == [champion.version]


# Going on with the champion


def bad_rows() -> str:
    return simulate_orders(50, seed=1).to_csv(index=False) + "SKU001,-4,2\n" * 5


REFUSALS = pytest.mark.parametrize(
    ("week", "reason"),
    [
        (week_of_swapped_codes(), "this week is unlike the last"),
        (bad_rows(), "--max-rejected-share 0.01"),
        ("", "it is empty"),
    ],
    ids=["refused model", "bad rows", "empty dataset"],
)


@REFUSALS
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

    (error,) = logged(caplog, "ERROR")
    assert reason in error
    assert error.endswith(f"Going on with {champion.version}, since --on-refusal is keep.")
    (text,) = webhook.texts
    assert reason in text and champion.version in text
    assert logged(caplog, "INFO")[-1] == "Finished train-model stage."
    assert names_in(production / MODELS) == [champion.version]


def test_a_refused_model_that_does_not_stop_the_stage_is_kept_and_reported(
    production: Path, champion: DispatchModel
) -> None:
    deliver(production, week_of_swapped_codes())

    assert main([str(production), "--on-refusal", "keep"]) == 0

    refused = refused_model(production)
    assert refused.metadata.refused_because
    assert names_in(production / REPORTS) == [champion.version, refused.version]


@REFUSALS
def test_by_default_a_refusal_fails_the_stage(
    week: pd.DataFrame | str,
    reason: str,
    production: Path,
    champion: DispatchModel,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deliver(production, week)

    assert main([str(production)]) == 1

    (error,) = logged(caplog, "ERROR")
    assert reason in error and "Going on" not in error
    assert names_in(production / MODELS) == [champion.version]


@pytest.mark.parametrize("options", [[], ["--ignore-champion"]], ids=["none", "ignored"])
def test_without_champion_there_is_nothing_to_go_on_with(
    options: list[str], production: Path, tmp_path: Path
) -> None:
    store = production if options else tmp_path / "new"
    deliver(store, simulate_orders(500, seed=1).assign(hours_to_dispatch=3.0))

    assert main([str(store), "--on-refusal", "keep", *options]) == 1

    assert len(names_in(store / REFUSED)) == 1


# Alerts


def test_a_refusal_posts_its_reason_and_where_the_report_is(
    production: Path, webhook: Webhook
) -> None:
    deliver(production, week_of_swapped_codes())

    assert main([str(production), "--alert-webhook", webhook.url]) == 1

    (text,) = webhook.texts
    assert "this week is unlike the last" in text
    assert f"{production}/{REPORTS}/{refused_model(production).version}.html" in text


def test_a_failure_posts_its_reason(
    tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTD_ALERT_WEBHOOK", webhook.url)

    assert main([str(tmp_path / "nowhere")]) == 1

    (text,) = webhook.texts
    assert f"Cannot open the store {tmp_path}/nowhere" in text


def test_a_published_week_posts_nothing(production: Path, webhook: Webhook) -> None:
    deliver(production, simulate_orders(1_000, seed=2))

    assert main([str(production), "--alert-webhook", webhook.url]) == 0

    assert webhook.texts == []


@pytest.mark.parametrize(
    ("week", "options", "exit_code"),
    [
        (simulate_orders(500, seed=2), [], 0),
        ("", [], 1),
        ("", ["--on-refusal", "keep"], 0),
    ],
    ids=["published", "failed", "kept"],
)
def test_a_webhook_that_cannot_be_reached_changes_no_exit_code(
    week: pd.DataFrame | str,
    options: list[str],
    exit_code: int,
    production: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deliver(production, week)
    webhook = f"http://127.0.0.1:{free_port()}/{WEBHOOK_TOKEN}"

    assert main([str(production), "--alert-webhook", webhook, *options]) == exit_code

    warnings = [
        warning for warning in logged(caplog, "WARNING") if "alert could not be posted" in warning
    ]
    assert len(warnings) == (0 if isinstance(week, pd.DataFrame) else 1)
    assert WEBHOOK_TOKEN not in caplog.text


# Drift


@pytest.mark.parametrize(
    ("week", "warning"),
    [
        (
            simulate_orders(1_500, seed=2).query("orders_placed >= 160"),
            "Population stability index of the orders placed is ",
        ),
        (
            pd.concat([simulate_orders(800, seed=2), simulate_orders(200, 3, {"NEW": 0.06})]),
            "Share of rows of new products is 0.2, above 0.1",
        ),
        (
            simulate_orders(1_000, seed=2).query("product_code != 'SKU003'"),
            "Share of the last rows whose products have vanished is ",
        ),
    ],
    ids=["other order counts", "new products", "vanished products"],
)
def test_drift_is_a_warning_and_no_refusal(
    week: pd.DataFrame, warning: str, production: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(production, week)

    assert main([str(production)]) == 0

    (logged_warning,) = logged(caplog, "WARNING")
    assert logged_warning.startswith(warning)
    (breached,) = [
        measure for measure in newest_model(production).metadata.drift if measure.breached
    ]
    assert logged_warning.startswith(breached.name)

"""A product without orders this week: kept for some weeks with its date, then dropped by name."""

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from pipeline.api.service import DispatchService
from pipeline.manage_models import main as manage_models
from pipeline.model.artifact import MODELS, REPORTS
from pipeline.model.order import ORDERS, PRODUCT
from pipeline.model.reader import DispatchModel, load_model
from pipeline.orders.simulator import simulate_orders
from pipeline.serve_model import create_app
from pipeline.stages.settings import ServeSettings
from pipeline.stores.directory import DirectoryStore
from pipeline.train_model import main as train_model
from tests.support.helpers import logged
from tests.support.service_fixtures import PRODUCTS, V0_1, V0_2

RARE = "SKU003"
FIRST_WEEK = "2026-11-06T23:00:00Z"
ORDER = {PRODUCT: RARE, ORDERS: 100}


def week(seed: int, rare_rows: int = 0) -> pd.DataFrame:
    """Return orders of five products, of which one has few or none."""
    orders = simulate_orders(1_000, seed)
    is_rare = orders[PRODUCT] == RARE
    return pd.concat([orders[~is_rare], orders[is_rare].head(rare_rows)])


def train(store: Path, day: str, orders: pd.DataFrame, *options: str) -> DispatchModel:
    """Deliver the week of a day, train on it, and return the model in production."""
    (store / "datasets").mkdir(parents=True, exist_ok=True)
    path = store / "datasets" / f"time_to_dispatch_2026-{day}T23-00-00.csv"
    orders.to_csv(path, index=False)
    assert train_model([str(store), *options]) == 0
    return load_model(DirectoryStore(str(store)))


def report_on(store: Path, model: DispatchModel) -> str:
    return (store / REPORTS / f"{model.version}.html").read_text()


@pytest.fixture(scope="module")
def first_week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a model of the first week; tests copy it."""
    store = tmp_path_factory.mktemp("weeks") / "store"
    train(store, "11-06", week(1, rare_rows=40))
    return store


@pytest.fixture
def store(first_week: Path, tmp_path: Path) -> Path:
    return shutil.copytree(first_week, tmp_path / "store")


def test_it_keeps_curve_interval_and_range_of_the_last_week_with_orders_and_says_so(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = load_model(DirectoryStore(str(store)))
    train(store, "11-13", week(2))
    model = train(store, "11-20", week(3))

    points = {PRODUCT: [RARE] * 400, ORDERS: np.arange(400.0)}
    found, expected = (np.array(each.predict(points), dtype=float) for each in (model, first))
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    client = TestClient(create_app(DispatchService(ServeSettings.from_arguments([str(store)]))))
    (product,) = client.get(PRODUCTS, params={PRODUCT: RARE}).json()["products"]
    answer: dict[str, Any] = client.post(V0_2, json=ORDER).json()
    assert product["curve_from"] == answer["curve_from"] == FIRST_WEEK
    assert product["rows"] == 40
    assert client.post(V0_2, json=ORDER | {PRODUCT: "SKU001"}).json()["curve_from"] > FIRST_WEEK
    assert set(client.post(V0_1, json=ORDER).json()) == {"est_hours_to_dispatch", "model_version"}
    kept = f"1 product with the curve from 2026-11-06, until 2027-01-01: '{RARE}'."
    assert logged(caplog, "INFO").count(f"Kept, without orders this week: {kept}") == 2
    assert RARE in report_on(store, model).split('id="kept"')[1].split("</section>")[0]


def test_it_is_dropped_by_name_after_so_many_weeks(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = train(store, "11-13", week(2), "--keep-weeks", "1")
    dropped = train(store, "11-20", week(3), "--keep-weeks", "1")

    reason = "1 product without orders for more than a week: 'SKU003'."
    assert RARE in kept.products and RARE not in dropped.products
    assert f"Dropped, with no estimates any more: {reason}" in logged(caplog, "WARNING")
    assert "without orders for more than a week: SKU003" in report_on(store, dropped)


def test_none_is_kept_for_a_day_if_the_setting_says_so(store: Path) -> None:
    model = train(store, "11-07", week(2), "--keep-weeks", "0")

    (dropped,) = model.metadata.dropped
    assert dropped.product_code == (RARE,) and RARE not in model.products


def test_one_that_has_orders_again_gets_a_new_curve(store: Path) -> None:
    train(store, "11-13", week(2))

    model = train(store, "11-20", week(3, rare_rows=60))

    assert model.curve_from(RARE) == datetime.fromisoformat("2026-11-20T23:00:00Z")
    assert model.metadata.own_rows[RARE] == 60
    assert (model.metadata.earlier_weeks, model.metadata.dropped) == ((), ())


def test_a_retired_one_is_dropped_by_name_unless_that_is_taken_back(
    store: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    (first,) = (store / MODELS).iterdir()
    assert manage_models(["retire", RARE, str(store), "--reason", "sold no more"]) == 0
    assert manage_models(["list", str(store)]) == 0
    assert capsys.readouterr().out.endswith(f"Retired products: '{RARE}'.\n")

    retired = train(store, "11-13", week(2))

    reason = f"1 product retired by ttd-models: '{RARE}'."
    assert RARE not in retired.products
    assert f"Dropped, with no estimates any more: {reason}" in logged(caplog, "WARNING")

    manage_models(["withdraw", retired.version, str(store)])
    assert manage_models(["unretire", RARE, str(store)]) == 0
    assert RARE in train(store, "11-20", week(3)).products
    assert first.exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["retire", "SKU03"], "Cannot retire 'SKU03': there is no such product in time_to_"),
        (["retire", "X"], "Give its code in full."),
        (["unretire", RARE], f"Cannot unretire '{RARE}': there is no such product retired in"),
    ],
)
def test_a_product_that_is_not_there_is_named(
    command: list[str], message: str, first_week: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert manage_models([*command, str(first_week)]) == 1

    assert message in logged(caplog, "ERROR")[0]
    assert not (first_week / "decisions").exists()

"""What a new model keeps of the champion: its curves to the last digit, or none, by name."""

from collections.abc import Set
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.tree import DecisionTreeRegressor

from pipeline.curves.estimator import DispatchCurve, PerProductCurve
from pipeline.curves.onnx_converter import read_tables
from pipeline.model.artifact import MODELS, artifact_key
from pipeline.model.metadata import DroppedProducts, ModelMetadata
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.model.reader import DispatchModel, read_artifact
from pipeline.orders.features import features_of
from pipeline.orders.simulator import simulate_orders
from pipeline.release.carrying import FinalModel, carry_products
from pipeline.release.publishing import check_agreement, store_artifact, write_artifact
from pipeline.stores.directory import DirectoryStore
from tests.support.builders import (
    DELIVERED_AT,
    INTERVAL,
    all_facts,
    comparison,
    metadata_of,
    trained_model,
)

WEEK = simulate_orders(400, seed=1).astype({ORDERS: float})
KINDS = {"mean": 0, "line": 1, "curve": 8}
PLACES = np.concatenate([np.linspace(0.0, 400.0, 81), [1e4, 1e6]])


def fit(orders: pd.DataFrame, segments: int = 1) -> PerProductCurve:
    return PerProductCurve(segments).fit(orders, orders[HOURS])


def named(prefix: str) -> pd.DataFrame:
    """Return the week with a letter before its product codes."""
    return WEEK.assign(product_code=prefix + WEEK[PRODUCT])


def points_of(codes: list[str]) -> pd.DataFrame:
    products, placed = np.repeat(codes, len(PLACES)), np.tile(PLACES, len(codes))
    return pd.DataFrame({PRODUCT: products, ORDERS: placed})


def publish(store: DirectoryStore, regressor: DispatchCurve, facts: ModelMetadata) -> DispatchModel:
    """Put a champion into a store."""
    content = write_artifact(regressor, facts)
    return read_artifact(store_artifact(store, MODELS, facts, content), content)


def kept_by(facts: ModelMetadata) -> set[str]:
    """Return the products of earlier weeks."""
    return {code for week in facts.earlier_weeks for code in week.product_code}


def carry(
    store: DirectoryStore,
    champion: DispatchModel | None,
    keep_weeks: int = 8,
    regressor: DispatchCurve | None = None,
    retired: Set[str] = frozenset(),
    **changes: object,
) -> FinalModel:
    """Train on a week without SKU003, a week later, and carry that over.

    Args:
        store: has the champion.
        champion: the model in production.
        keep_weeks: as set.
        retired: products that people retired.
        regressor: of the new model.
        changes: of its metadata.
    """
    orders = WEEK[WEEK[PRODUCT] != "SKU003"]
    later = {"dataset": {"delivered_at": DELIVERED_AT + timedelta(weeks=1)}}
    model = trained_model(orders, regressor=regressor or fit(orders))
    facts = metadata_of(orders, **later | changes)
    return carry_products(store, champion, model, facts, keep_weeks, retired)


@pytest.mark.parametrize(
    "kinds",
    [
        ("mean", "mean", "mean"),
        ("mean", "line", "curve"),
        ("curve", "line", "mean"),
        ("line", "curve", "curve"),
    ],
    ids="-".join,
)
def test_curves_of_several_weeks_are_written_and_read_back_to_the_last_digit(
    kinds: tuple[str, ...],
) -> None:
    weeks = [fit(named(letter), KINDS[kind]) for letter, kind in zip("abc", kinds)]
    carrying = weeks[0].carry([table for week in weeks[1:] for table in week.tables])
    points = pd.concat([points_of(list(week.products_)) for week in weeks])
    expected = np.concatenate([week.predict(points_of(list(week.products_))) for week in weeks])
    facts = metadata_of(points.assign(hours_to_dispatch=0.0))

    content = write_artifact(carrying, facts)

    check_agreement(carrying, facts, content, points)
    written = read_artifact(artifact_key(MODELS, facts.trained_at, content), content)
    np.testing.assert_array_equal(carrying.predict(points), expected)
    np.testing.assert_allclose(written.estimate(points), expected, rtol=1e-13, atol=1e-13)
    assert np.isnan(written.estimate({PRODUCT: ["", "aSKU"], ORDERS: [1.0, 1.0]})).all()
    only_read = fit(named("z")).carry(read_tables(content))
    np.testing.assert_array_equal(only_read.predict(points), expected)


def test_the_bounds_are_those_of_the_champion(store: DirectoryStore) -> None:
    noisy = {
        "interval": {"upper_multiple": 5.0, "noise_base_hours": 1.5, "noise_growth": 0.3},
    }
    champion = publish(store, fit(WEEK, 8), metadata_of(WEEK, **noisy))

    final = carry(store, champion)

    content = write_artifact(final.regressor, final.metadata)
    check_agreement(final.regressor, final.metadata, content, final.points)
    key = artifact_key(MODELS, final.metadata.trained_at, content)
    points = points_of(["SKU003"])
    written = read_artifact(key, content)
    assert all_facts(written.metadata) == all_facts(final.metadata)
    found = np.array(written.predict(points), dtype=float)
    np.testing.assert_allclose(found, np.array(champion.predict(points), dtype=float), rtol=1e-13)


@pytest.mark.parametrize(
    ("level", "upper", "kept"),
    [(0.95, 2.5, 2.5), (0.95, 1.5, 2.0), (0.9, 2.5, 2.0), (0.8, 1.2, 2.0)],
)
def test_an_interval_gets_wider_only_if_a_higher_level_is_asked_for(
    level: float, upper: float, kept: float, store: DirectoryStore
) -> None:
    champion = publish(store, fit(WEEK), metadata_of(WEEK, interval=INTERVAL))
    asked = {"level": level, "multiple": upper, "lower_multiple": 1.0, "upper_multiple": upper}

    final = carry(store, champion, interval=asked)

    (week,) = final.metadata.earlier_weeks
    assert (week.interval.lower_multiple, week.interval.upper_multiple) == (2.0, kept)
    assert week.interval.multiple == kept and week.interval.level == max(level, 0.9)


@pytest.mark.parametrize(
    ("days", "is_kept"), [(0, True), (14, True), (17.4, True), (17.6, False), (21, False)]
)
def test_weeks_are_counted_from_that_of_the_curve(
    days: float, is_kept: bool, store: DirectoryStore
) -> None:
    champion = publish(store, fit(WEEK), metadata_of(WEEK))
    dataset = {"delivered_at": DELIVERED_AT + timedelta(days=days)}

    facts = carry(store, champion, keep_weeks=2, dataset=dataset).metadata

    assert [week.delivered_at for week in facts.earlier_weeks] == [DELIVERED_AT] * is_kept
    assert [(each.reason, each.product_code) for each in facts.dropped] == [
        ("without orders for more than 2 weeks", ("SKU003",))
    ] * (not is_kept)
    assert ("SKU003" in facts.catalogue.product_code) == is_kept


@pytest.mark.parametrize("which", ["new model", "champion"])
def test_a_regressor_of_another_kind_goes_on_without_and_the_products_are_named(
    which: str, store: DirectoryStore
) -> None:
    trees = make_pipeline(
        ColumnTransformer(
            [("product", OrdinalEncoder(), [PRODUCT]), ("orders", "passthrough", [ORDERS])]
        ),
        DecisionTreeRegressor(),
    ).fit(features_of(WEEK), WEEK[HOURS])
    regressors = {"new model": fit(WEEK), "champion": fit(WEEK)} | {which: trees}
    champion = publish(store, regressors["champion"], metadata_of(WEEK))

    final = carry(store, champion, regressor=regressors["new model"])

    reason = f"whose curves a by hand cannot take over from {champion.version}"
    assert final.metadata.dropped == (DroppedProducts(reason=reason, product_code=("SKU003",)),)
    assert final.metadata.earlier_weeks == ()
    assert "SKU003" not in final.metadata.catalogue.product_code


def test_a_curve_that_does_not_give_the_champion_s_estimates_is_not_taken_over(
    store: DirectoryStore,
) -> None:
    facts = metadata_of(WEEK)
    champion = publish(store, fit(WEEK), facts)
    key = f"{MODELS}/{champion.version}.onnx"
    other = WEEK.assign(hours_to_dispatch=WEEK[HOURS] + 1)
    (Path(store.url) / key).write_bytes(write_artifact(fit(other), facts))

    assert carry(store, champion).metadata.dropped[0].product_code == ("SKU003",)


REFUSED = [{"rule": "skill", "summary": "no better"}]
SAME_DATASET = comparison(same_dataset=True)


@pytest.mark.parametrize(
    ("changes", "keep_weeks", "held"),
    [
        ({"remarks": {"surprising": ["SKU001"]}}, 8, ("SKU001",)),
        ({"remarks": {"swapped": ["SKU001", "SKU002"]}}, 8, ("SKU001", "SKU002")),
        ({"remarks": {"unfit": ["SKU001"]}}, 8, ()),
        ({"remarks": {"surprising": ["SKU001"]}}, 0, ()),
        ({"remarks": {"surprising": ["SKU001"]}, "refused_because": REFUSED}, 8, ()),
        ({"remarks": {"surprising": ["SKU001"]}, "comparison": SAME_DATASET}, 8, ()),
    ],
)
def test_a_product_whose_orders_contradict_the_champion_keeps_its_curve(
    changes: dict[str, Any], keep_weeks: int, held: tuple[str, ...], store: DirectoryStore
) -> None:
    champion = publish(store, fit(WEEK), metadata_of(WEEK))
    tripled = WEEK[WEEK[PRODUCT] != "SKU003"]
    regressor = fit(tripled.assign(hours_to_dispatch=3 * tripled[HOURS]))

    final = carry(store, champion, keep_weeks, regressor, **changes)

    assert final.metadata.remarks.held_back == held
    assert set(held) <= kept_by(final.metadata)
    content = write_artifact(final.regressor, final.metadata)
    check_agreement(final.regressor, final.metadata, content, final.points)
    for code in ("SKU001", "SKU002", "SKU004"):
        before, after = (
            model.predict(points_of([code])).mean() for model in (fit(WEEK), final.regressor)
        )
        assert after / before == pytest.approx(1.0 if code in held else 3.0, rel=0.05)


def test_a_curve_that_is_kept_is_doubted_as_before(store: DirectoryStore) -> None:
    doubts = {"unfit": ["SKU001", "SKU003"], "wide": ["SKU003"]}
    champion = publish(store, fit(WEEK), metadata_of(WEEK, remarks=doubts))

    remarks = carry(store, champion, remarks={"unfit": ["SKU002"]}).metadata.remarks

    assert remarks.unfit == ("SKU002", "SKU003")
    assert remarks.wide == ()


@pytest.mark.parametrize("with_champion", [True, False])
def test_a_retired_product_with_orders_is_remarked_on_and_stays(
    with_champion: bool, store: DirectoryStore
) -> None:
    champion = publish(store, fit(WEEK), metadata_of(WEEK)) if with_champion else None

    facts = carry(store, champion, retired={"SKU001", "NEVER SEEN"}).metadata

    assert facts.remarks.retired == ("SKU001",) and facts.dropped == ()
    assert kept_by(facts) == ({"SKU003"} if with_champion else set())

"""The new model against the one in production: each rule on both sides of its threshold.

Champions here are straight lines per product, fitted with NumPy: what is compared are estimates,
whatever they come from.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from pipeline.model.arrays import Floats
from pipeline.model.artifact import (
    HOURS_OUTPUT,
    METADATA_KEY,
    MODELS,
    artifact_key,
)
from pipeline.model.metadata import (
    ChampionComparison,
    DatasetLineage,
    Histogram,
    Metrics,
    ModelMetadata,
    Outliers,
    PredictionInterval,
    ProductCatalogue,
    ProductRemarks,
    ProductShift,
)
from pipeline.model.reader import DispatchModel, OrderColumns
from pipeline.orders.simulator import HOURS_PER_ORDER, NOISE_HOURS, simulate_orders
from pipeline.release.champion import (
    Challenger,
    champion_on_grid,
    compare_with_champion,
    load_champion,
)
from pipeline.release.champion_rules import (
    comparison_failures,
    comparison_warnings,
    movement_in_words,
    shift_failures,
)
from pipeline.stages.errors import ArtifactError, ObjectMissing, StoreError
from pipeline.stores.directory import DirectoryStore
from pipeline.training.evaluation import GridEstimates

TRAINED_AT = datetime(2026, 11, 23, 18, 49, 11, 198262, tzinfo=UTC)
TOLERANCE = 0.05
MAX_SHIFT = 2.0
LAST_WEEK, THIS_WEEK = "a" * 64, "b" * 64

Line = tuple[float, float]
"""Hours at zero orders, and hours per order."""


class LineChampion(DispatchModel):
    """A model in production that gives straight lines, without an artifact."""

    def __init__(self, metadata: ModelMetadata, lines: Mapping[str, Line]) -> None:
        super().__init__("time_to_dispatch_champion", metadata, session=None)
        self.lines = lines

    def estimate(self, orders: OrderColumns) -> npt.NDArray[np.float64]:
        codes, placed = orders.get("product_code"), orders.get("orders_placed")
        return estimate(self.lines, np.asarray(codes), np.asarray(placed))


class VanishingStore:
    """A store with one model, which is removed between listing and reading."""

    url = "s3://bucket"

    def list_keys(self, folder: str) -> list[str]:
        return [artifact_key(folder, TRAINED_AT, b"")]

    def read(self, key: str) -> bytes:
        raise ObjectMissing(f"Cannot read {self.url}/{key}: there is no such object.")

    def write_new(self, key: str, content: bytes) -> None:
        raise NotImplementedError


class UnreachableStore(VanishingStore):
    """A store that does not answer."""

    def list_keys(self, folder: str) -> list[str]:
        raise StoreError(f"Cannot list {self.url}/{folder}: no answer.")


def estimate(lines: Mapping[str, Line], codes: npt.NDArray[np.generic], orders: Floats) -> Floats:
    """Return what lines say, NaN for products that they do not know."""
    both = np.array([lines.get(str(code), (np.nan, np.nan)) for code in codes]).reshape(-1, 2)
    return np.asarray(np.maximum(both[:, 0] + both[:, 1] * orders, 0.0), dtype=np.float64)


def estimate_rows(lines: Mapping[str, Line], orders: pd.DataFrame) -> Floats:
    """Return what lines say of rows of orders."""
    return estimate(
        lines, orders["product_code"].to_numpy(dtype=object), orders["orders_placed"].to_numpy()
    )


def fit_lines(orders: pd.DataFrame) -> dict[str, Line]:
    """Fit a line to each product by least squares."""
    lines = {}
    for code, rows in orders.groupby("product_code"):
        slope, intercept = np.polyfit(rows["orders_placed"], rows["hours_to_dispatch"], 1)
        lines[str(code)] = (float(intercept), float(slope))
    return lines


def metadata_of(orders: pd.DataFrame, error_hours: float, sha256: str = LAST_WEEK) -> ModelMetadata:
    """Return the facts about a model that was trained on these orders."""
    products = orders.groupby("product_code")["orders_placed"].agg(["size", "min", "max"])
    counts, edges = np.histogram(orders["orders_placed"], bins=20)
    return ModelMetadata(
        trained_at=TRAINED_AT,
        git_commit=None,
        library_versions={},
        regressor="Lines",
        candidates=(),
        dataset=DatasetLineage(
            key="datasets/a.csv",
            sha256=sha256,
            delivered_at=TRAINED_AT,
            rows=len(orders),
            rejected_rows=0,
        ),
        metrics=Metrics(
            r_squared=0.99,
            mean_absolute_error_hours=error_hours,
            noise_floor_hours=error_hours,
            train_rows=len(orders),
            test_rows=len(orders),
        ),
        interval=PredictionInterval(
            level=0.9,
            multiple=1.645,
            noise_base_hours=NOISE_HOURS,
            noise_growth=0.0,
            calibration_rows=len(orders),
        ),
        outliers=Outliers(rows=0, share=0.0, farthest=()),
        catalogue=ProductCatalogue(
            product_code=tuple(map(str, products.index)),
            rows=tuple(products["size"].tolist()),
            least_orders=tuple(products["min"].astype(float).tolist()),
            most_orders=tuple(products["max"].astype(float).tolist()),
            relative_noise=(1.0,) * len(products),
        ),
        remarks=ProductRemarks(few_rows=(), falling=(), flat=()),
        orders_placed=Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist())),
    )


def champion_of(orders: pd.DataFrame, sha256: str = LAST_WEEK) -> LineChampion:
    """Return a champion that was trained on these orders, as the stage would."""
    train, test = split(orders)
    errors = np.abs(estimate_rows(fit_lines(train), test) - test["hours_to_dispatch"].to_numpy())
    return LineChampion(metadata_of(orders, float(errors.mean()), sha256), fit_lines(orders))


def challenger_of(orders: pd.DataFrame) -> Challenger:
    """Return a challenger that was trained on these orders, as the stage would."""
    train, test = split(orders)
    return Challenger(test, estimate_rows(fit_lines(train), test), *grid_of(orders))


def grid_of(
    orders: pd.DataFrame, lines: Mapping[str, Line] | None = None
) -> tuple[GridEstimates, npt.NDArray[np.int64]]:
    """Return what lines, or those fitted to these orders, say on the grid; and rows by product."""
    lines = fit_lines(orders) if lines is None else lines
    products = orders.groupby("product_code")["orders_placed"].agg(["size", "max"])
    codes = products.index.to_numpy(dtype=object)
    points = np.linspace(0.0, products["max"].to_numpy(dtype=float), 41, axis=1)
    hours = estimate(lines, np.repeat(codes, 41), points.ravel()).reshape(points.shape)
    return GridEstimates(codes, points, hours), products["size"].to_numpy(dtype=np.int64)


def split(orders: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return four fifths of the rows to fit on, and the others to judge by."""
    is_test = np.arange(len(orders)) % 5 == 0
    return orders[~is_test], orders[is_test]


def compare(
    last_week: pd.DataFrame, this_week: pd.DataFrame, max_shift: float = MAX_SHIFT
) -> ChampionComparison:
    """Compare models of two weeks."""
    return compare_with_champion(
        champion_of(last_week), challenger_of(this_week), THIS_WEEK, max_shift
    )


def refusals(comparison: ChampionComparison) -> list[str]:
    """Return all rules that a comparison breaks, at the default settings."""
    return [
        *comparison_failures(comparison, TOLERANCE),
        *shift_failures(comparison, MAX_SHIFT),
    ]


def sound_week(seed: int, rows: int = 1_000) -> pd.DataFrame:
    return simulate_orders(rows, seed)


def week_with(hours: Floats, orders: float = 100.0, code: str = "A") -> pd.DataFrame:
    """Return a row for each label, all of one product and order count."""
    return pd.DataFrame({"product_code": code, "orders_placed": orders, "hours_to_dispatch": hours})


def comparison_with(
    compared_rows: int = 200,
    champion_error_hours: float | None = 1.0,
    challenger_error_hours: float | None = 1.0,
    least_excess_hours: float | None = -0.01,
    same_dataset: bool = False,
    shifted_share: float = 0.0,
    recorded_hours: float = 1.0,
    shifts: tuple[ProductShift, ...] = (ProductShift(product_code="A", ratio=3.0, rows=100),),
) -> ChampionComparison:
    return ChampionComparison(
        champion_version="time_to_dispatch_champion",
        same_dataset=same_dataset,
        compared_rows=compared_rows,
        champion_error_hours=champion_error_hours,
        challenger_error_hours=challenger_error_hours,
        least_excess_hours=least_excess_hours,
        champion_recorded_error_hours=recorded_hours,
        shifted_share=shifted_share,
        median_ratio=shifts[0].ratio if shifts else None,
        shifts=shifts,
    )


def artifact_with(metadata_json: str) -> bytes:
    """Return an ONNX model that says a twentieth of an hour per order, and this of itself."""
    rows = [None, 1]
    graph = helper.make_graph(
        [
            helper.make_node(
                "Constant",
                [],
                ["slope"],
                value=helper.make_tensor("value", TensorProto.DOUBLE, [1, 1], [0.05]),
            ),
            helper.make_node("Mul", ["orders_placed", "slope"], [HOURS_OUTPUT]),
        ],
        "time_to_dispatch",
        [
            helper.make_tensor_value_info("product_code", TensorProto.STRING, rows),
            helper.make_tensor_value_info("orders_placed", TensorProto.DOUBLE, rows),
        ],
        [helper.make_tensor_value_info(HOURS_OUTPUT, TensorProto.DOUBLE, rows)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: metadata_json})
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def store_with(folder: Path, content: bytes, named_after: bytes | None = None) -> DirectoryStore:
    """Return a store with one artifact, under its proper name or that of another content."""
    store = DirectoryStore(str(folder))
    key = artifact_key(MODELS, TRAINED_AT, content if named_after is None else named_after)
    store.write_new(key, content)
    return store


# The champion


def test_an_empty_store_has_no_champion(tmp_path: Path) -> None:
    assert load_champion(DirectoryStore(str(tmp_path))) is None


def test_the_newest_model_is_the_champion(tmp_path: Path) -> None:
    metadata = metadata_of(sound_week(1), error_hours=0.6)

    champion = load_champion(store_with(tmp_path, artifact_with(metadata.model_dump_json())))

    assert champion is not None
    assert champion.metadata == metadata
    assert champion.estimate({"product_code": ["SKU001"], "orders_placed": [100]}) == pytest.approx(
        [5.0]
    )


def test_a_damaged_champion_ends_the_stage_and_the_message_says_the_way_out(
    tmp_path: Path,
) -> None:
    content = artifact_with(metadata_of(sound_week(1), 0.6).model_dump_json())

    with pytest.raises(ArtifactError, match="is damaged or was renamed.* Nothing is published") as (
        caught
    ):
        load_champion(store_with(tmp_path, content[:-7], named_after=content))

    assert "--ignore-champion" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_bytes_cut_off_before_the_name_was_made_are_no_champion_either(tmp_path: Path) -> None:
    content = artifact_with(metadata_of(sound_week(1), 0.6).model_dump_json())[:-7]

    with pytest.raises(ArtifactError, match="Cannot compare .* Nothing is published"):
        load_champion(store_with(tmp_path, content))


def test_a_champion_of_another_format_ends_the_stage(tmp_path: Path) -> None:
    facts = metadata_of(sound_week(1), 0.6).model_copy(update={"format_version": 99})

    with pytest.raises(ArtifactError, match="has format 99.*--ignore-champion"):
        load_champion(store_with(tmp_path, artifact_with(facts.model_dump_json())))


def test_a_champion_that_vanished_after_listing_ends_the_stage() -> None:
    with pytest.raises(ArtifactError, match="no such object.*--ignore-champion"):
        load_champion(VanishingStore())


def test_a_store_that_does_not_answer_is_no_reason_to_ignore_the_champion() -> None:
    with pytest.raises(StoreError, match="no answer.$"):
        load_champion(UnreachableStore())


# Errors


def test_errors_are_those_on_rows_of_products_that_the_champion_knows() -> None:
    champion = LineChampion(metadata_of(week_with(np.ones(3)), 0.5), {"A": (4.0, 0.0)})
    test = pd.concat([week_with(np.array([3.0, 6.0])), week_with(np.array([9.0]), code="B")])
    challenger = Challenger(test, np.array([3.5, 6.5, 100.0]), *grid_of(test, {"A": (3.5, 0.0)}))

    comparison = compare_with_champion(champion, challenger, THIS_WEEK, MAX_SHIFT)

    assert comparison.compared_rows == 2
    assert comparison.champion_error_hours == pytest.approx(1.5)
    assert comparison.challenger_error_hours == pytest.approx(0.5)
    assert comparison.champion_recorded_error_hours == 0.5
    assert comparison.least_excess_hours == pytest.approx(-1.5)  # both rows differ, by 0.5 and 1.5
    assert not comparison.same_dataset


def test_on_its_own_dataset_the_champion_is_judged_by_its_record() -> None:
    week = sound_week(1)
    champion = champion_of(week)

    comparison = compare_with_champion(champion, challenger_of(week), LAST_WEEK, MAX_SHIFT)

    recorded = champion.metadata.metrics.mean_absolute_error_hours
    assert comparison.same_dataset
    assert comparison.champion_error_hours == pytest.approx(recorded)
    assert comparison.challenger_error_hours == pytest.approx(recorded)
    assert refusals(comparison) == []


def test_product_codes_may_be_categories() -> None:
    week = sound_week(2).astype({"product_code": "category"})

    comparison = compare_with_champion(
        champion_of(sound_week(1)),
        challenger_of(sound_week(2))._replace(test=split(week)[1]),
        THIS_WEEK,
        MAX_SHIFT,
    )

    assert comparison == compare(sound_week(1), sound_week(2))


@pytest.mark.parametrize(("rows", "excess"), [(1, 0.5), (40, 0.0), (40, 0.25)])
def test_the_interval_of_equal_differences_is_that_difference(rows: int, excess: float) -> None:
    champion = LineChampion(metadata_of(week_with(np.ones(3)), 0.5), {"A": (4.0, 0.0)})
    test = week_with(np.full(rows, 4.0))
    challenger = Challenger(test, np.full(rows, 4.0 + excess), *grid_of(test, champion.lines))

    comparison = compare_with_champion(champion, challenger, THIS_WEEK, MAX_SHIFT)

    assert comparison.least_excess_hours == excess


def test_the_interval_is_that_of_a_mean_and_the_same_every_time() -> None:
    last_week, this_week = sound_week(1), sound_week(2)
    test = split(this_week)[1]
    champion = champion_of(last_week)
    truth = test["hours_to_dispatch"].to_numpy()
    challenger = challenger_of(this_week)
    worse = challenger._replace(
        test_estimates=challenger.test_estimates + np.random.default_rng(1).normal(size=len(test))
    )
    differences = np.abs(worse.test_estimates - truth) - np.abs(
        estimate_rows(champion.lines, test) - truth
    )

    comparison = compare_with_champion(champion, worse, THIS_WEEK, MAX_SHIFT)

    standard_error = differences.std() / np.sqrt(len(test))
    assert comparison.least_excess_hours == pytest.approx(
        differences.mean() - 2.326 * standard_error, abs=0.25 * standard_error
    )
    assert comparison == compare_with_champion(champion, worse, THIS_WEEK, MAX_SHIFT)


def test_the_bootstrap_takes_rows_evenly_from_large_weeks() -> None:
    rows = 250_000
    champion = LineChampion(metadata_of(week_with(np.ones(3)), 0.5), {"A": (0.0, 0.0)})
    truth = np.zeros(rows)
    estimates = np.arange(rows) / rows  # the first rows alone would say that there is no error
    test = week_with(truth)
    challenger = Challenger(test, estimates, *grid_of(test, champion.lines))

    started = time.perf_counter()
    comparison = compare_with_champion(champion, challenger, THIS_WEEK, MAX_SHIFT)

    assert comparison.least_excess_hours == pytest.approx(0.495, abs=0.003)
    assert time.perf_counter() - started < 10


# Movement


def test_a_ratio_is_the_median_over_the_grid_where_the_champion_says_an_hour_or_more() -> None:
    orders = pd.concat([week_with(np.ones(1), 40.0), week_with(np.ones(3), 40.0, code="B")])
    champion = LineChampion(
        metadata_of(orders, 0.5), {"A": (0.0, 0.05), "B": (0.0, 0.02), "C": (9.0, 0.0)}
    )
    grid, rows = grid_of(orders, {"A": (0.5, 0.05), "B": (5.0, 0.0)})

    found = compare_with_champion(
        champion, Challenger(orders, np.ones(4), grid, rows), THIS_WEEK, MAX_SHIFT
    )

    # The champion says 1 to 2 h for 20 to 40 orders of A, less than 1 h for B, and C is gone.
    (shift,) = found.shifts
    assert (shift.product_code, shift.rows) == ("A", 1)
    assert shift.ratio == pytest.approx(2.0 / 1.5)
    assert found.median_ratio == shift.ratio
    assert found.shifted_share == 0.0


@pytest.mark.parametrize(
    ("ratio", "max_shift", "share"),
    [(2.0, 2.0, 0.0), (2.001, 2.0, 1.0), (0.5, 2.0, 0.0), (0.499, 2.0, 1.0), (0.4, 4.0, 0.0)],
)
def test_products_are_shifted_beyond_the_factor(
    ratio: float, max_shift: float, share: float
) -> None:
    orders = week_with(np.ones(3))
    champion = LineChampion(metadata_of(orders, 0.5), {"A": (4.0, 0.0)})
    challenger = Challenger(orders, np.ones(3), *grid_of(orders, {"A": (4.0 * ratio, 0.0)}))

    assert compare_with_champion(champion, challenger, THIS_WEEK, max_shift).shifted_share == share


@pytest.mark.parametrize("hours", [0.0, -1.0])
def test_estimates_of_zero_come_first_and_have_shifted(hours: float) -> None:
    orders = pd.concat([week_with(np.ones(1), code=code) for code in "ABC"])
    champion = LineChampion(metadata_of(orders, 0.5), {code: (4.0, 0.0) for code in "ABC"})
    grid, rows = grid_of(orders, {"A": (4.4, 0.0), "B": (0.0, 0.0), "C": (1.0, 0.0)})
    grid.hours[1] = hours

    found = compare_with_champion(
        champion, Challenger(orders, np.ones(3), grid, rows), THIS_WEEK, MAX_SHIFT
    )

    assert [(shift.product_code, shift.ratio) for shift in found.shifts] == [
        ("B", 0.0),
        ("C", 0.25),
        ("A", pytest.approx(1.1)),
    ]
    assert found.shifted_share == pytest.approx(2 / 3)
    assert found.median_ratio == 0.25


def test_a_hundred_products_are_listed_and_all_are_counted() -> None:
    orders = pd.concat([week_with(np.ones(1), code=f"P{i:03}") for i in range(150)])
    lines = {f"P{i:03}": (4.0, 0.0) for i in range(150)}
    champion = LineChampion(metadata_of(orders, 0.5), lines)
    tripled = {code: (3 * intercept, slope) for code, (intercept, slope) in lines.items()}
    challenger = Challenger(orders, np.ones(150), *grid_of(orders, tripled))

    found = compare_with_champion(champion, challenger, THIS_WEEK, MAX_SHIFT)

    assert len(found.shifts) == 100
    assert found.shifted_share == 1.0
    assert "and 95 more" in shift_failures(found, MAX_SHIFT)[0]


def test_the_champion_s_grid_has_no_numbers_for_products_that_it_does_not_know() -> None:
    orders = pd.concat([week_with(np.ones(1), code=code) for code in "AB"])
    champion = LineChampion(metadata_of(orders, 0.5), {"B": (1.0, 0.01)})

    hours = champion_on_grid(champion, grid_of(orders, champion.lines)[0])

    assert hours.shape == (2, 41)
    assert np.isnan(hours[0]).all()
    np.testing.assert_allclose(hours[1], np.linspace(1.0, 2.0, 41))


# Rules


@pytest.mark.parametrize(
    ("challenger_error", "least_excess", "refused"),
    [(1.05, 0.01, False), (1.0501, 0.01, True), (1.5, 0.0, False), (0.9, -0.2, False)],
)
def test_a_challenger_is_refused_that_is_worse_than_tolerated_and_by_no_chance(
    challenger_error: float, least_excess: float, refused: bool
) -> None:
    comparison = comparison_with(
        challenger_error_hours=challenger_error, least_excess_hours=least_excess
    )

    assert bool(comparison_failures(comparison, TOLERANCE)) == refused


def test_the_tolerance_is_that_of_the_settings() -> None:
    comparison = comparison_with(challenger_error_hours=1.2, least_excess_hours=0.1)

    assert comparison_failures(comparison, 0.25) == []
    (failure,) = comparison_failures(comparison, 0.1)
    assert "1.20 h, 0.20 h more than the 1.00 h" in failure
    assert "above the 1.10 h that --champion-tolerance 0.1 allows" in failure
    assert "moved most for 'A'" in failure
    assert "on the same rows" in failure


def test_on_the_same_dataset_the_message_names_the_record() -> None:
    comparison = comparison_with(
        challenger_error_hours=1.2, least_excess_hours=0.1, same_dataset=True, shifts=()
    )

    (failure,) = comparison_failures(comparison, 0.1)

    assert "recorded on this dataset" in failure
    assert "moved most" not in failure


@pytest.mark.parametrize(("rows", "refused"), [(19, False), (20, True)])
def test_few_rows_prove_nothing(rows: int, refused: bool) -> None:
    comparison = comparison_with(
        compared_rows=rows, challenger_error_hours=2.0, least_excess_hours=0.5
    )

    assert bool(comparison_failures(comparison, TOLERANCE)) == refused
    assert bool(comparison_warnings(comparison)) != refused


def test_errors_of_labels_without_noise_are_not_compared() -> None:
    comparison = comparison_with(
        champion_error_hours=1e-12,
        challenger_error_hours=5e-12,
        least_excess_hours=3e-12,
        recorded_hours=1e-14,
    )

    assert refusals(comparison) == []


@pytest.mark.parametrize(("share", "refused"), [(0.1, False), (0.101, True)])
def test_a_week_is_refused_in_which_too_many_rows_shifted(share: float, refused: bool) -> None:
    failures = shift_failures(comparison_with(shifted_share=share), MAX_SHIFT)

    assert bool(failures) == refused
    if refused:
        (failure,) = failures
        assert "10.1% of its rows (more than 10%)" in failure
        assert "by more than --max-shift 2" in failure
        assert "namely 'A' (now 3 times as high)" in failure
        assert "--accept-shift" in failure


@pytest.mark.parametrize(("error", "refused"), [(4.0, False), (4.01, True)])
def test_a_week_is_refused_that_surprises_the_champion(error: float, refused: bool) -> None:
    comparison = comparison_with(champion_error_hours=error, recorded_hours=0.5)

    failures = shift_failures(comparison, MAX_SHIFT)

    assert bool(failures) == refused
    if refused:
        (failure,) = failures
        assert "off by 4.01 h in the mean of 200 test rows" in failure
        assert "8.0 times its error of 0.50 h" in failure
        assert "--accept-shift" in failure


def test_its_own_dataset_does_not_surprise_the_champion() -> None:
    comparison = comparison_with(champion_error_hours=9.0, recorded_hours=1.0, same_dataset=True)

    assert shift_failures(comparison, MAX_SHIFT) == []


# Words


def test_a_sound_comparison_needs_no_warning() -> None:
    assert comparison_warnings(comparison_with()) == []


def test_the_same_dataset_is_said_loudly() -> None:
    (warning,) = comparison_warnings(comparison_with(same_dataset=True))

    assert "The newest dataset is the one that the model in production" in warning


def test_the_movement_names_the_median_and_the_largest_movers() -> None:
    shifts = (
        ProductShift(product_code="A", ratio=0.5, rows=1),
        ProductShift(product_code="B", ratio=1.25, rows=1),
    )

    assert movement_in_words(comparison_with(shifts=shifts)) == (
        "The estimates are 0.5 times those of the model in production (time_to_dispatch_champion) "
        "in the median over products; most moved 'A', 'B' (first 0.5, 1.25 times)."
    )


def test_a_movement_that_cannot_be_known_is_said_to_be_unknown() -> None:
    assert "is unknown" in movement_in_words(comparison_with(shifts=()))


# Weeks


@pytest.mark.parametrize("seed", range(5))
def test_a_sound_week_after_a_sound_week_is_published(seed: int) -> None:
    comparison = compare(sound_week(seed), sound_week(seed + 100))

    assert refusals(comparison) == []
    assert comparison.median_ratio == pytest.approx(1.0, abs=0.05)


def test_a_challenger_that_was_fitted_badly_is_refused_by_its_error_alone() -> None:
    challenger = challenger_of(sound_week(2))
    worse = challenger._replace(test_estimates=challenger.test_estimates * 1.1)

    comparison = compare_with_champion(champion_of(sound_week(1)), worse, THIS_WEEK, MAX_SHIFT)

    (failure,) = refusals(comparison)
    assert "--champion-tolerance" in failure


def in_minutes(week: pd.DataFrame, codes: list[str]) -> pd.DataFrame:
    """Return a week in which the labels of these products are in minutes."""
    factor = np.where(week["product_code"].isin(codes), 60.0, 1.0)
    return week.assign(hours_to_dispatch=week["hours_to_dispatch"] * factor)


def swapped(week: pd.DataFrame) -> pd.DataFrame:
    """Return a week in which two codes have been swapped, with slopes of 0.074 and 0.031."""
    other = {"SKU001": "SKU003", "SKU003": "SKU001"}
    return week.assign(product_code=week["product_code"].replace(other))


@pytest.mark.parametrize("seed", range(3))
def test_labels_in_minutes_are_refused(seed: int) -> None:
    week = in_minutes(sound_week(seed + 100), list(HOURS_PER_ORDER))

    comparison = compare(sound_week(seed), week)

    assert comparison_failures(comparison, TOLERANCE) == []
    moved, surprised = shift_failures(comparison, MAX_SHIFT)
    assert "100.0% of its rows" in moved
    assert "off by" in surprised


@pytest.mark.parametrize("seed", range(3))
def test_labels_in_minutes_of_two_products_are_refused(seed: int) -> None:
    comparison = compare(sound_week(seed), in_minutes(sound_week(seed + 100), ["SKU002", "SKU004"]))

    failures = shift_failures(comparison, MAX_SHIFT)

    assert len(failures) == 2
    assert "'SKU004'" in failures[0] and "'SKU002'" in failures[0]
    assert "'SKU001'" not in failures[0]


@pytest.mark.parametrize("seed", range(3))
def test_swapped_product_codes_are_refused(seed: int) -> None:
    comparison = compare(sound_week(seed), swapped(sound_week(seed + 100)))

    (failure,) = refusals(comparison)

    assert "'SKU001'" in failure and "'SKU003'" in failure
    assert "'SKU002'" not in failure


@pytest.mark.parametrize("seed", range(3))
def test_labels_that_are_eight_hours_too_long_are_refused(seed: int) -> None:
    week = sound_week(seed + 100)
    too_long = week.assign(hours_to_dispatch=week["hours_to_dispatch"] + 8.0)

    comparison = compare(sound_week(seed), too_long)

    assert len(shift_failures(comparison, MAX_SHIFT)) == 2


def test_a_champion_of_other_products_says_nothing_and_that_is_a_warning() -> None:
    week = sound_week(2)

    comparison = compare(sound_week(1), week.assign(product_code="x" + week["product_code"]))

    assert comparison.compared_rows == 0
    assert comparison.champion_error_hours is None
    assert comparison.shifts == () and comparison.median_ratio is None
    assert refusals(comparison) == []
    (warning,) = comparison_warnings(comparison)
    assert "Nothing could be compared" in warning

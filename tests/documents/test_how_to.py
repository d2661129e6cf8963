"""The how-to documents: their code runs, their numbers are right, their options exist."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline

from pipeline.curves.estimator import DispatchCurve
from pipeline.model.artifact import artifact_key
from pipeline.model.metadata import ModelMetadata
from pipeline.model.reader import read_artifact
from pipeline.orders.simulator import (
    BUSIEST_DAY,
    HOURS_PER_ORDER,
    NOISE_HOURS,
    simulate_orders,
)
from pipeline.orders.weekly_dataset import WeeklyDataset
from pipeline.release.publishing import check_agreement, write_artifact
from pipeline.release.rules import behaviour_failures, r_squared_failures
from pipeline.stages.errors import ArtifactError
from pipeline.stages.settings import TrainSettings
from pipeline.training import selection
from pipeline.training.evaluation import estimate_on_grid
from pipeline.training.facts import gather_metadata
from pipeline.training.fitting import TrainedModel, train_on
from pipeline.training.selection import CANDIDATES, Candidate, choose_candidate
from tests.support.helpers import ROOT

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
HOW_TO = ROOT / "docs" / "how-to"
ADD_A_CANDIDATE = (HOW_TO / "add_a_candidate.md").read_text(encoding="utf-8")
REFUSED_WEEKS = (HOW_TO / "refused_weeks.md").read_text(encoding="utf-8")
QUIET_DAY = 39


def code_of(document: str) -> dict[str, Any]:
    """Run the Python blocks of a document as if they were written in `model_selection`."""
    names = dict(vars(selection))
    blocks = re.findall(r"^```python\n(.*?)^```$", document, flags=re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        exec(compile(block, "add_a_candidate.md", "exec"), names)
    return names


CODE = code_of(ADD_A_CANDIDATE)
BOOSTED_TREES: Candidate = CODE["BOOSTED_TREES"]
HISTOGRAM_TREES: Candidate = CODE["HISTOGRAM_TREES"]
ALL_CANDIDATES = (*CANDIDATES, BOOSTED_TREES)

protobuf_6_warns = pytest.mark.filterwarnings("ignore:Field onnx:DeprecationWarning")
"""skl2onnx writes booleans of histogram trees as integers, which protobuf 7 refuses."""

every_candidate = pytest.mark.parametrize(
    "candidate", ALL_CANDIDATES, ids=[candidate.name for candidate in ALL_CANDIDATES]
)


def as_validated(orders: pd.DataFrame) -> pd.DataFrame:
    return orders.astype({"product_code": "category", "orders_placed": float})


def whole_week(rows: int = 1_000, seed: int = 1) -> pd.DataFrame:
    return as_validated(simulate_orders(rows, seed))


def fractional_week(rows: int = 1_000, seed: int = 1) -> pd.DataFrame:
    """Return a week with order counts of three decimals, most of which no float32 can hold."""
    week = whole_week(rows, seed)
    fractions = np.random.default_rng(seed).integers(1_000, size=rows) / 1_000
    return week.assign(orders_placed=week["orders_placed"] + fractions)


def stepped_week(rows: int = 1_000, seed: int = 1) -> pd.DataFrame:
    """Return a week in which each product takes some hours more after every 80 orders."""
    week = whole_week(rows, seed)
    pace = np.linspace(0.5, 1.5, len(HOURS_PER_ORDER))[week["product_code"].cat.codes]
    noise = np.random.default_rng(seed).normal(scale=NOISE_HOURS, size=rows)
    hours = pace * (2 + 8 * np.floor(week["orders_placed"] / 80)) + noise
    return week.assign(hours_to_dispatch=np.maximum(hours, 0.0))


def quiet_week(rows: int = 1_000, seed: int = 1) -> pd.DataFrame:
    week = simulate_orders(16 * rows, seed, {"SKU001": HOURS_PER_ORDER["SKU001"]})
    return as_validated(week[week["orders_placed"] <= QUIET_DAY].head(rows))


def metadata_of(orders: pd.DataFrame, model: TrainedModel) -> ModelMetadata:
    rejected = pd.DataFrame(columns=["product_code", "orders_placed", "reason"])
    dataset = WeeklyDataset("datasets/week.csv", "0" * 64, NOW, orders, rejected)
    return gather_metadata(NOW, dataset, model)


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    return train_on(whole_week(), 0.9)


@pytest.fixture(scope="module")
def metadata(trained: TrainedModel) -> ModelMetadata:
    return metadata_of(whole_week(), trained)


def fine_grid(orders: pd.DataFrame) -> pd.DataFrame:
    """Return whole, half and odd order counts of every product, and some beyond those seen."""
    counts = np.concatenate([np.arange(801) / 2, np.linspace(0, 400, 1_234)])
    codes = sorted(orders["product_code"].unique())
    columns = {"product_code": np.repeat(codes, len(counts)).astype(object)}
    return pd.DataFrame({**columns, "orders_placed": np.tile(counts, len(codes))})


def check_everywhere(model: DispatchCurve, orders: pd.DataFrame, metadata: ModelMetadata) -> None:
    """Raise an `ArtifactError` if a model and its artifact disagree on rows, grid or between."""
    content = write_artifact(model, metadata)
    for points in (orders, estimate_on_grid(model, orders).points(), fine_grid(orders)):
        check_agreement(model, metadata, content, points)


@every_candidate
@pytest.mark.parametrize("week", [whole_week(), fractional_week()], ids=["whole", "fractional"])
def test_every_candidate_agrees_with_its_artifact(
    candidate: Candidate, week: pd.DataFrame, metadata: ModelMetadata
) -> None:
    check_everywhere(candidate.fit(week), week, metadata)


@every_candidate
@pytest.mark.parametrize("seed", range(3))
def test_no_candidate_falls_or_is_negative(candidate: Candidate, seed: int) -> None:
    week = whole_week(seed=seed)
    grid = estimate_on_grid(candidate.fit(week), week)

    assert np.diff(grid.hours, axis=1).min() >= 0
    assert grid.hours.min() >= 0
    assert grid.hours.max() <= 1.25 * week["hours_to_dispatch"].max()


@every_candidate
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_every_candidate_can_be_fitted_on_few_rows(
    candidate: Candidate, rows: int, metadata: ModelMetadata
) -> None:
    week = as_validated(whole_week(rows))
    check_everywhere(candidate.fit(week), week, metadata)


@every_candidate
def test_the_same_rows_give_the_same_artifact(
    candidate: Candidate, metadata: ModelMetadata
) -> None:
    first, second = (write_artifact(candidate.fit(whole_week()), metadata) for _ in range(2))

    assert first == second


@every_candidate
def test_every_candidate_refuses_an_unknown_product(candidate: Candidate) -> None:
    fitted = candidate.fit(whole_week())

    with pytest.raises(ValueError, match="SKU999"):
        fitted.predict(pd.DataFrame({"product_code": ["SKU999"], "orders_placed": [1.0]}))


def test_the_new_candidate_does_not_win_where_a_line_is_enough() -> None:
    choice = choose_candidate(whole_week(), ALL_CANDIDATES)

    assert [score.name for score in choice.scores] == [one.name for one in ALL_CANDIDATES]
    assert choice.candidate.name == "line per product"
    assert np.isfinite(choice.scores[-1].mean_absolute_error_hours)


def test_the_new_candidate_wins_where_hours_jump_and_can_be_published() -> None:
    week = stepped_week()
    choice = choose_candidate(week, ALL_CANDIDATES)
    assert choice.candidate == BOOSTED_TREES

    fitted = choice.candidate.fit(week)
    model = replace(
        train_on(week, 0.9),
        regressor=fitted,
        name=choice.candidate.name,
        candidates=choice.scores,
        grid=estimate_on_grid(fitted, week),
    )
    metadata = metadata_of(week, model)
    content = write_artifact(model.regressor, metadata)
    check_agreement(model.regressor, metadata, content, model.points())

    artifact = read_artifact(artifact_key("models", NOW, content), content)
    assert artifact.metadata.regressor == "boosted trees"
    assert behaviour_failures(model.grid, week["hours_to_dispatch"].max()) == []
    grid = fine_grid(week)
    hours = artifact.estimate(grid)
    rising = grid.assign(hours=hours).sort_values(["product_code", "orders_placed"])
    steps = rising.groupby("product_code")["hours"].diff().dropna()
    assert steps.min() >= 0
    assert hours.min() >= 0


@protobuf_6_warns
def test_histogram_trees_agree_and_may_be_refused_for_negative_estimates(
    metadata: ModelMetadata,
) -> None:
    week = fractional_week()
    fitted = HISTOGRAM_TREES.fit(week)

    check_everywhere(fitted, week, metadata)
    failures = behaviour_failures(estimate_on_grid(fitted, week), week["hours_to_dispatch"].max())
    assert len(failures) == 1
    assert failures[0].startswith("estimates are negative")


@protobuf_6_warns
def test_the_order_counts_must_be_cast(metadata: ModelMetadata) -> None:
    week = fractional_week()
    model = _histogram_trees(orders="passthrough").fit(week)

    with pytest.raises(ArtifactError, match="differ by up to"):
        check_everywhere(model, week, metadata)


@protobuf_6_warns
@pytest.mark.parametrize(
    "parameters", [{"categorical_features": [0]}, {"loss": "poisson"}, {"loss": "gamma"}], ids=str
)
def test_what_skl2onnx_converts_wrong_is_not_published(
    parameters: dict[str, Any], metadata: ModelMetadata
) -> None:
    week = whole_week()
    week["hours_to_dispatch"] += 0.01  # loss="gamma" takes no zeros
    model = _histogram_trees(**parameters).fit(week)
    content = write_artifact(model, metadata)

    with pytest.raises(ArtifactError, match="differ by up to [0-9.]+ h"):
        check_agreement(model, metadata, content, week)


def test_with_absolute_error_the_trees_may_fall() -> None:
    week = whole_week()
    model = _histogram_trees(loss="absolute_error", max_iter=30).fit(week)

    failures = behaviour_failures(estimate_on_grid(model, week), week["hours_to_dispatch"].max())
    assert any(failure.startswith("estimates fall") for failure in failures)


def _histogram_trees(orders: Any = None, **parameters: Any) -> Candidate:
    """Return the document's histogram trees with something changed."""
    features = CODE["TREE_FEATURES"]
    if orders is not None:
        features = CODE["ColumnTransformer"](
            [features.transformers[0], ("orders", orders, ["orders_placed"])]
        )
    trees = HistGradientBoostingRegressor(monotonic_cst=[0, 1], random_state=0, **parameters)
    return Candidate("changed", make_pipeline(features, trees))


@pytest.mark.parametrize("document", [ADD_A_CANDIDATE, REFUSED_WEEKS], ids=["add", "refused"])
def test_every_option_in_the_documents_exists(document: str) -> None:
    options = set(re.findall(r"(?<![\w-])--([a-z][a-z0-9-]*)", document))
    known = {name.replace("_", "-") for name in TrainSettings.model_fields}

    assert options <= known
    assert document is ADD_A_CANDIDATE or len(options) == 8


def test_the_messages_in_the_document_are_those_of_the_pipeline() -> None:
    code = "".join(
        (ROOT / "pipeline" / f"{module}.py").read_text(encoding="utf-8")
        for module in (
            "release/rules",
            "release/champion",
            "release/champion_rules",
            "orders/weekly_dataset",
        )
    )
    said = re.sub(r'"\n\s*f?"', "", code)  # strings over several lines
    first_column = re.findall(r"^\| (`.*?`) \|", REFUSED_WEEKS, flags=re.MULTILINE)
    quoted = [words for cell in first_column for words in re.findall(r"`([^`]+)`", cell)]
    assert len(quoted) >= 10
    parts = [part for words in quoted for part in re.split(r"…|--[a-z0-9-]+|[0-9.]+", words)]
    missing = [part for part in parts if part.strip(" ,") not in said]
    assert missing == []


@pytest.mark.parametrize("most_orders", [BUSIEST_DAY, QUIET_DAY])
def test_the_r_squared_of_a_perfect_model_is_as_the_document_says(most_orders: int) -> None:
    variance = ((most_orders + 1) ** 2 - 1) / 12
    caused = HOURS_PER_ORDER["SKU001"] ** 2 * variance
    noise = NOISE_HOURS**2

    assert f"({most_orders + 1}² − 1) / 12 = {variance:.2f}" in REFUSED_WEEKS
    assert f"× {variance:.2f} = {caused:.2f} h²" in REFUSED_WEEKS
    total = caused + noise
    assert f"1 − {noise:.2f} / {total:.2f} = {1 - noise / total:.2f}" in REFUSED_WEEKS


def test_the_simulator_s_quiet_week_is_as_the_document_says() -> None:
    week = quiet_week(rows=50_000)
    hours = week["hours_to_dispatch"]
    perfect = hours.groupby(week["orders_placed"]).transform("mean")
    r_squared = 1 - ((hours - perfect) ** 2).mean() / hours.var(ddof=0)

    assert f"changes the quiet week to {r_squared:.2f}" in REFUSED_WEEKS


def test_a_quiet_week_is_told_from_a_bad_model() -> None:
    metrics = train_on(quiet_week(), 0.9).metrics

    (failure,) = r_squared_failures(metrics, 0.8)

    assert "the hours of this week vary too little for a high R²" in failure
    assert "the hours of this week vary too little for a high R²" in REFUSED_WEEKS

"""The how-to pages: carried out to the letter, they leave a project that works."""

import ast
import csv
import json
import re
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from pipeline.model.metadata import DOUBTS
from pipeline.orders.simulator import (
    BUSIEST_DAY,
    HOURS_PER_ORDER,
    NOISE_HOURS,
    simulate_orders,
)
from pipeline.release.publishing import check_agreement, write_artifact
from pipeline.stages.errors import ArtifactError
from pipeline.stages.settings import TrainSettings
from pipeline.training.candidate_rules import behaviour_failures
from pipeline.training.evaluation import estimate_on_grid
from pipeline.training.fitting import train_on
from pipeline.training.selection import CANDIDATES, Candidate
from tests.support.builders import metadata, most_orders
from tests.support.helpers import HTTP, ROOT, deliver, names_in, running_service
from tests.support.how_to import (
    blocks,
    carry_out,
    complaints_of_static_analysis,
    page,
    run_python,
)
from tests.support.service_fixtures import BATCH, V0_1, V0_2

pytestmark = [pytest.mark.slow, pytest.mark.documents, pytest.mark.timeout(900)]

ADD_A_CANDIDATE = page("add_a_candidate")
ADD_A_FEATURE = page("add_a_feature")
REFUSED_WEEKS = page("refused_weeks")
QUIET_DAY = 39
METADATA = metadata(HOURS_PER_ORDER)
"""That of some model of the simulator's products."""


# Add a candidate


@pytest.fixture(scope="module")
def with_candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project in which the page on candidates was carried out."""
    folder = tmp_path_factory.mktemp("candidate")
    assert carry_out(ADD_A_CANDIDATE, folder) == ["pipeline/training/selection.py"]
    return folder


@pytest.fixture(scope="module")
def code(with_candidate: Path) -> dict[str, Any]:
    """Return the names in the changed module, and those of the page's other code."""
    names = runpy.run_path(str(with_candidate / "pipeline/training/selection.py"))
    for block in blocks(ADD_A_CANDIDATE, "python"):
        exec(compile(block, "add_a_candidate.md", "exec"), names)  # noqa: S102 - our page
    return names


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Fit histogram trees in one thread: on busy processors, several wait for each other."""
    with threadpool_limits(1):
        yield


def test_a_new_candidate_leaves_static_analysis_and_the_named_tests_green(
    with_candidate: Path,
) -> None:
    assert complaints_of_static_analysis(with_candidate) == []
    (commands,) = blocks(ADD_A_CANDIDATE, "sh")
    (tests,) = re.findall(r"python -m pytest (.+)", commands)
    done = run_python(with_candidate, "-m", "pytest", "-q", *tests.split())
    assert done.returncode == 0, done.stdout


def whole_week(rows: int = 1_000) -> pd.DataFrame:
    orders = simulate_orders(rows, seed=1)
    return orders.astype({"product_code": "category", "orders_placed": float})


def fractional_week() -> pd.DataFrame:
    """Return a week with order counts of three decimals, most of which no float32 can hold."""
    week = whole_week()
    fractions = np.random.default_rng(1).integers(1_000, size=len(week)) / 1_000
    return week.assign(orders_placed=week["orders_placed"] + fractions)


def stepped_week() -> pd.DataFrame:
    """Return a week in which each product takes some hours more after every 80 orders."""
    week = whole_week()
    pace = np.linspace(0.5, 1.5, len(HOURS_PER_ORDER))[week["product_code"].cat.codes]
    noise = np.random.default_rng(1).normal(scale=NOISE_HOURS, size=len(week))
    hours = pace * (2 + 8 * np.floor(week["orders_placed"] / 80)) + noise
    return week.assign(hours_to_dispatch=np.maximum(hours, 0.0))


def test_the_new_candidate_wins_where_hours_jump_and_can_be_published(code: dict[str, Any]) -> None:
    week = stepped_week()
    model = train_on(week, 0.9, code["CANDIDATES"])
    assert model.name == "boosted trees"
    assert behaviour_failures(model.grid, week["hours_to_dispatch"].max()) == []
    content = write_artifact(model.regressor, METADATA)
    check_agreement(model.regressor, METADATA, content, model.points())


def test_the_new_candidate_does_not_win_where_a_line_is_enough(code: dict[str, Any]) -> None:
    model = train_on(whole_week(), 0.9, code["CANDIDATES"])
    names = [score.name for score in model.candidates]
    assert names == [*(each.name for each in CANDIDATES), "boosted trees"]
    assert model.name == "line per product"


protobuf_6_warns = pytest.mark.filterwarnings("ignore:Field onnx:DeprecationWarning")
"""skl2onnx writes booleans of histogram trees as integers, which protobuf 7 refuses."""


def histogram_trees(code: dict[str, Any], orders: Any = None, **parameters: Any) -> Candidate:
    """Return the page's histogram trees with something changed."""
    features = code["TREE_FEATURES"]
    if orders is not None:
        product = features.transformers[0]
        features = code["ColumnTransformer"]([product, ("orders", orders, ["orders_placed"])])
    trees = HistGradientBoostingRegressor(
        monotonic_cst=[0, 1], random_state=0, max_iter=30, **parameters
    )
    return Candidate("changed", make_pipeline(features, trees))


@protobuf_6_warns
def test_histogram_trees_agree_and_may_be_refused_for_negative_estimates(
    code: dict[str, Any],
) -> None:
    week = fractional_week()
    fitted = code["HISTOGRAM_TREES"].fit(week)
    check_agreement(fitted, METADATA, write_artifact(fitted, METADATA), week)
    (failure,) = behaviour_failures(
        estimate_on_grid(fitted, most_orders(week)), week["hours_to_dispatch"].max()
    )
    assert failure.rule == "negative_estimates"


@protobuf_6_warns
@pytest.mark.parametrize(
    "changes",
    [
        {"orders": "passthrough"},
        {"categorical_features": [0]},
        {"loss": "poisson"},
    ],
    ids=str,
)
def test_what_skl2onnx_converts_wrong_is_not_published(
    changes: dict[str, Any], code: dict[str, Any]
) -> None:
    week = fractional_week()
    model = histogram_trees(code, **changes).fit(week)
    with pytest.raises(ArtifactError, match="differ by up to [0-9.]+ h"):
        check_agreement(model, METADATA, write_artifact(model, METADATA), week)


def test_with_absolute_error_the_trees_may_fall(code: dict[str, Any]) -> None:
    week = whole_week()
    model = histogram_trees(code, loss="absolute_error").fit(week)
    failures = behaviour_failures(
        estimate_on_grid(model, most_orders(week)), week["hours_to_dispatch"].max()
    )
    assert "falling_estimates" in {failure.rule for failure in failures}


# Add a feature

WEEKEND_HOURS = 3.0


@pytest.fixture(scope="module")
def with_feature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project in which the page on features was carried out."""
    folder = tmp_path_factory.mktemp("feature")
    assert len(carry_out(ADD_A_FEATURE, folder)) <= 3
    return folder


@pytest.fixture(scope="module")
def store(trained_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a model of last week, and a new week in which weekends take longer.

    Some orders have no weekday, and that of the last four cannot be used.
    """
    folder = shutil.copytree(trained_store, tmp_path_factory.mktemp("weekdays") / "store")
    orders = simulate_orders(2_000, seed=5)
    weekday = np.random.default_rng(6).integers(7, size=len(orders))
    longer = WEEKEND_HOURS * (weekday >= 5)
    texts = [*map(str, weekday[:-4]), "7", "-1", "2.5", "Friday"]
    texts[::50] = [""] * len(texts[::50])
    hours = orders["hours_to_dispatch"] + longer
    deliver(folder, orders.assign(weekday=texts, hours_to_dispatch=hours))
    return folder


@pytest.fixture(scope="module")
def service(with_feature: Path, store: Path) -> Iterator[str]:
    """Train in the copy with the model of the unchanged project in place, and serve."""
    done = run_python(with_feature, "-m", "pipeline.train_model", str(store))
    assert done.returncode == 0, done.stderr
    assert len(names_in(store / "models")) == 2
    with running_service(str(store), cwd=with_feature) as url:
        yield url


def ask(url: str, content: Any = None) -> tuple[int, Any]:
    """Return the status and the JSON of an answer."""
    body = None if content is None else json.dumps(content).encode()
    try:
        with HTTP.open(Request(url, body, {"content-type": "application/json"})) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def order(**changes: Any) -> dict[str, Any]:
    return {"product_code": "SKU001", "orders_placed": 112, **changes}


def test_a_new_feature_leaves_static_analysis_green(with_feature: Path) -> None:
    assert complaints_of_static_analysis(with_feature) == []


def test_a_model_that_does_not_know_the_feature_is_served_and_ignores_it(
    with_feature: Path, trained_store: Path
) -> None:
    with running_service(str(trained_store), cwd=with_feature) as url:
        answers = [ask(url + V0_2, order(**day)) for day in ({}, {"weekday": 0}, {"weekday": 6})]
        assert answers == [answers[0]] * 3 and answers[0][0] == 200
        assert ask(url + V0_2, order(weekday=7))[0] == 422


def test_the_new_feature_shifts_the_estimates_of_v0_2(service: str) -> None:
    days: list[dict[str, Any]] = [{}, *({"weekday": day} for day in (None, *range(7)))]
    answers = [ask(service + V0_2, order(**day)) for day in days]
    assert {status for status, _ in answers} == {200}
    without, null, *by_day = [answer["est_hours_to_dispatch"] for _, answer in answers]
    assert without == null
    assert np.mean(by_day[5:]) - np.mean(by_day[:5]) == pytest.approx(WEEKEND_HOURS, abs=0.6)
    assert max(by_day[:5]) < without < min(by_day[5:])
    _, batch = ask(service + BATCH, {"orders": [order(**day) for day in days]})
    assert [each["est_hours_to_dispatch"] for each in batch["predictions"]] == [
        without,
        null,
        *by_day,
    ]
    columns = {name: [order(**day).get(name) for day in days] for name in order(weekday=0)}
    _, answer = ask(service + BATCH, columns)
    assert answer["predictions"]["est_hours_to_dispatch"] == [without, null, *by_day]


@pytest.mark.parametrize("weekday", [7, -1, 2.5, "x", True])
def test_an_invalid_value_of_the_new_feature_is_refused(weekday: Any, service: str) -> None:
    status, problem = ask(service + V0_2, order(weekday=weekday))
    assert (status, [fault["pointer"] for fault in problem["errors"]]) == (422, ["#/weekday"])
    status, batch = ask(service + BATCH, {"orders": [order(), order(weekday=weekday)]})
    estimate, refusal = batch["predictions"]
    assert (status, "interval" in estimate) == (200, True)
    assert [fault["pointer"] for fault in refusal["errors"]] == ["#/orders/1/weekday"]


def test_v0_1_keeps_its_two_fields_beside_the_new_feature(service: str) -> None:
    _, plain = ask(service + V0_1, order())
    assert plain.keys() == {"est_hours_to_dispatch", "model_version"}
    assert ask(service + V0_1, order(weekday=6)) == ask(service + V0_1, order(weekday="x"))
    assert ask(service + V0_1, order(weekday=6)) == (200, plain)
    schemas = ask(f"{service}/openapi.json")[1]["components"]["schemas"]
    assert len(schemas["TimeToDispatchRequest"]["properties"]) == 2
    assert "weekday" in schemas["Order"]["properties"]


def test_the_new_feature_gets_a_control_on_the_page(service: str) -> None:
    with HTTP.open(f"{service}/") as response:
        assert b'"weekday": {' in response.read()


@pytest.mark.usefixtures("service")
def test_rows_with_an_invalid_new_feature_are_set_aside_and_those_without_are_not(
    store: Path,
) -> None:
    (rejected,) = (store / "rejected").iterdir()
    rows = list(csv.DictReader(rejected.read_text().splitlines()))
    assert [(row["weekday"], row["reason"]) for row in rows] == [
        ("7", "weekday is above 6"),
        ("-1", "weekday is negative"),
        ("2.5", "weekday is not a whole number"),
        ("Friday", "weekday is not a number"),
    ]


# Refused weeks


@pytest.mark.parametrize("text", [ADD_A_CANDIDATE, REFUSED_WEEKS], ids=["add", "refused"])
def test_every_option_in_the_documents_exists(text: str) -> None:
    options = set(re.findall(r"(?<![\w-])--([a-z][a-z0-9-]*)", text))
    known = {name.replace("_", "-") for name in TrainSettings.model_fields}

    assert options <= known


def test_the_messages_in_the_document_are_those_of_the_pipeline() -> None:
    said = "\n".join(
        texts_in("release/*", "training/*", "orders/*", "judged_week", "model/metadata")
    )
    first_column = re.findall(r"^\| (`.*?`) \|", REFUSED_WEEKS, flags=re.MULTILINE)
    quoted = [words for cell in first_column for words in re.findall(r"`([^`]+)`", cell)]
    assert len(quoted) >= 10
    parts = [part for words in quoted for part in re.split(r"…|[0-9.]+", words)]
    assert [part for part in parts if part.strip(" ,?()") not in said] == []


def test_every_doubt_is_described() -> None:
    table = REFUSED_WEEKS.split("| doubt |")[1].split("\n\n")[0]

    assert tuple(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == DOUBTS


def texts_in(*modules: str) -> Iterator[str]:
    """Yield the texts in the code of modules, with `…` for what is put into them."""
    for pattern in modules:
        for module in sorted((ROOT / "pipeline").glob(f"{pattern}.py")):
            for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value
                elif isinstance(node, ast.JoinedStr):
                    pieces = [getattr(value, "value", "…") for value in node.values]
                    yield "".join(piece if isinstance(piece, str) else "…" for piece in pieces)


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
    orders = simulate_orders(800_000, 1, {"SKU001": HOURS_PER_ORDER["SKU001"]})
    week = orders[orders["orders_placed"] <= QUIET_DAY].head(50_000)
    hours = week["hours_to_dispatch"]
    perfect = hours.groupby(week["orders_placed"]).transform("mean")
    r_squared = 1 - ((hours - perfect) ** 2).mean() / hours.var(ddof=0)

    assert f"changes the quiet week to {r_squared:.2f}" in REFUSED_WEEKS

"""What every candidate must keep, whichever week gets it."""

import pandas as pd
import pytest

from pipeline.model.metadata import ModelMetadata
from pipeline.orders.simulator import HOURS_PER_ORDER, simulate_orders
from pipeline.release.publishing import write_artifact
from pipeline.training.candidate_rules import behaviour_failures
from pipeline.training.evaluation import estimate_on_grid
from pipeline.training.selection import CANDIDATES, Candidate
from tests.support.builders import most_orders
from tests.support.service_fixtures import HandMadeModel

pytestmark = pytest.mark.slow

every_candidate = pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda each: each.name)


@pytest.fixture(scope="module")
def metadata() -> ModelMetadata:
    """Return the metadata of some model of the simulator's products."""
    return HandMadeModel(list(HOURS_PER_ORDER)).metadata


def week() -> pd.DataFrame:
    return simulate_orders(1_000, seed=1).astype({"product_code": "category"})


@every_candidate
def test_it_keeps_the_rules_of_behaviour(candidate: Candidate) -> None:
    orders = week()
    grid = estimate_on_grid(candidate.fit(orders), most_orders(orders))
    failures = behaviour_failures(grid, orders["hours_to_dispatch"].max())
    assert failures == []


@every_candidate
def test_the_same_rows_give_the_same_artifact(
    candidate: Candidate, metadata: ModelMetadata
) -> None:
    first, second = (write_artifact(candidate.fit(week()), metadata) for _ in range(2))
    assert first == second


@every_candidate
def test_it_refuses_an_unknown_product(candidate: Candidate) -> None:
    unknown = pd.DataFrame({"product_code": ["SKU999"], "orders_placed": [1.0]})
    with pytest.raises(ValueError, match="SKU999"):
        candidate.fit(week()).predict(unknown)

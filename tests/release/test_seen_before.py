"""Which weeks are no new ones."""

import pandas as pd
import pytest

from pipeline.model.reader import DispatchModel
from pipeline.orders.hashes import hash_of_rows
from pipeline.orders.simulator import simulate_orders
from pipeline.release.seen_before import seen_failures
from tests.support.builders import dataset, model

WEEK = simulate_orders(100, seed=1)
SHUFFLED = WEEK.sample(frac=1, random_state=1)
OTHER = WEEK.assign(hours_to_dispatch=WEEK["hours_to_dispatch"].mask(WEEK.index == 0, 1.0))
KEY, NEW_KEY = "datasets/old.csv", "datasets/new.csv"


def trained_on_week(version: str) -> DispatchModel:
    lineage = {"key": KEY, "sha256": "aa", "rows_sha256": hash_of_rows(WEEK)}
    return model(version=version, dataset=lineage)


def refused(orders: pd.DataFrame, key: str, sha256: str, seen: str = "champion") -> bool:
    """Tell whether a week is refused beside a model that has seen one."""
    champion = model(version="champion", dataset={"sha256": "cc"})
    history = [trained_on_week(seen)]
    week = dataset(orders, key=key, sha256=sha256)
    return bool(seen_failures(history, champion, week))


@pytest.mark.parametrize(
    ("orders", "sha256", "seen"),
    [(WEEK, "bb", True), (SHUFFLED, "bb", True), (OTHER, "aa", True), (OTHER, "bb", False)],
)
def test_a_week_is_no_new_one_if_its_file_or_its_rows_were_seen(
    orders: pd.DataFrame, sha256: str, seen: bool
) -> None:
    assert refused(orders, NEW_KEY, sha256) == seen


def test_the_champion_s_own_file_may_be_trained_on_again_and_an_older_one_may_not() -> None:
    assert not refused(WEEK, KEY, "aa")
    assert refused(WEEK, KEY, "aa", seen="an older model")


def test_the_newest_model_that_saw_the_week_is_named() -> None:
    history = [trained_on_week("old"), trained_on_week("newer")]
    (failure,) = seen_failures(history, history[1], dataset(WEEK, key=NEW_KEY))

    assert failure.details[0] == (
        f"The model is newer, its dataset was {KEY}, this one is {NEW_KEY}."
    )

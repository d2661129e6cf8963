"""Which earlier weeks a model may learn from."""

from collections.abc import Sequence
from datetime import timedelta

import pandas as pd
import pytest

from pipeline.curves.estimator import PerProductCurve
from pipeline.model.artifact import MODELS, REFUSED
from pipeline.model.decisions import Action, Decision, decide
from pipeline.model.order import HOURS
from pipeline.model.reader import load_model
from pipeline.orders.deliveries import Delivery
from pipeline.orders.past_weeks import PastWeeks, load_past_weeks
from pipeline.orders.simulator import simulate_orders
from pipeline.orders.weekly_dataset import WeeklyDataset, load_dataset
from pipeline.release.publishing import store_artifact, write_artifact
from pipeline.stores.base import ObjectStore
from pipeline.stores.directory import DirectoryStore
from tests.support.builders import DELIVERED_AT, TRAINED_AT, metadata_of
from tests.support.helpers import logged

BAD_ROWS = "SKU001,-4,2\n"


def key_of(age: int, end: str = "") -> str:
    moment = DELIVERED_AT - timedelta(weeks=age)
    return f"datasets/time_to_dispatch_{moment:%Y-%m-%dT%H-%M-%S}{end}.csv"


def week_of(age: int) -> pd.DataFrame:
    return simulate_orders(99, seed=age)


def deliver(store: ObjectStore, age: int, text: str | None = None) -> None:
    week = week_of(age).to_csv(index=False) if text is None else text
    store.write_new(key_of(age), week.encode())


def read(store: ObjectStore, age: int) -> WeeklyDataset:
    delivery = Delivery(key_of(age), DELIVERED_AT - timedelta(weeks=age))
    return load_dataset(store, delivery, max_rejected_share=1)


def load(store: ObjectStore, asked: int) -> PastWeeks:
    past = load_past_weeks(store, read(store, age=0), asked, max_rejected_share=0.01)
    assert past is not None
    return past


def ages(past: PastWeeks) -> Sequence[int]:
    return [week.age for week in past.weeks]


def keep_model(store: ObjectStore, folder: str, age: int, minutes: int = 0) -> str:
    """Keep a model of a week in a folder of the store, and return its version."""
    orders = week_of(age)
    facts = metadata_of(
        orders,
        trained_at=TRAINED_AT + timedelta(minutes=minutes),
        dataset={"sha256": read(store, age).sha256},
    )
    artifact = write_artifact(PerProductCurve(1).fit(orders, orders[HOURS]), facts)
    return load_model(store, store_artifact(store, folder, facts, artifact)).version


@pytest.fixture
def weeks(store: DirectoryStore) -> DirectoryStore:
    """Return a store with this week and three before it."""
    for age in (0, 1, 2, 3):
        deliver(store, age)
    return store


def test_as_many_earlier_weeks_are_read_as_are_asked_for_one_of_them_to_look_ahead_from(
    weeks: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(weeks, 4, text="never read")

    past = load(weeks, asked=3)

    assert ages(past) == [1, 2, 3]
    assert [week.dataset.key for week in past.weeks] == [key_of(1), key_of(2), key_of(3)]
    assert past.weeks[0].dataset.orders[HOURS].tolist() == week_of(1)[HOURS].tolist()
    assert logged(caplog, "WARNING") == []


def test_of_an_older_week_those_before_it_count(weeks: DirectoryStore) -> None:
    past = load_past_weeks(weeks, read(weeks, age=2), 3, max_rejected_share=0.01)

    assert past is not None
    assert [week.dataset.key for week in past.weeks] == [key_of(3)]


def test_one_week_is_this_one_and_nothing_else_is_read(store: DirectoryStore) -> None:
    deliver(store, 0)
    deliver(store, 1, text="never read")

    assert load_past_weeks(store, read(store, age=0), 1, max_rejected_share=0.01) is None


@pytest.mark.parametrize(("asked", "said"), [(4, False), (5, True)])
def test_a_store_with_fewer_weeks_than_asked_for_says_so(
    asked: int, said: bool, weeks: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    assert ages(load(weeks, asked)) == [1, 2, 3]

    expected = "There are 4 of the 5 weeks that --weeks asks for."
    assert (expected in logged(caplog, "WARNING")) == said


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Refused {key}: it is empty"),
        (week_of(1).sample(frac=1, random_state=1).to_csv(index=False), "has the rows of "),
        (week_of(2).to_csv(index=False) + 2 * BAD_ROWS, "1.98% of the rows of {key} are bad"),
        (week_of(2).to_csv(index=False) + BAD_ROWS, None),
    ],
    ids=["unreadable", "a copy", "too many bad rows", "as many bad rows as are allowed"],
)
def test_a_file_that_is_not_sound_is_left_out_by_name_and_leaves_a_gap(
    text: str, reason: str | None, store: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    for age in (0, 1, 3):
        deliver(store, age)
    deliver(store, 2, text)

    assert ages(load(store, asked=3)) == ([1, 3] if reason else [1, 2, 3])

    found = [line for line in logged(caplog, "WARNING") if "earlier week is left out" in line]
    assert [reason.format(key=key_of(2)) in line for line in found if reason] == [True] * bool(
        reason
    )


def test_files_of_the_same_time_are_left_out(
    weeks: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    weeks.write_new(key_of(1, end="-v2"), b"a correction or a part")

    assert ages(load(weeks, asked=2)) == [2]
    assert f"{key_of(1, end='-v2')} and {key_of(1)} have the same time." in caplog.text


def test_a_week_whose_model_was_withdrawn_is_left_out(
    weeks: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    decision = Decision(
        action=Action.WITHDRAW,
        model_version="a_model_0123456789abcdef",
        dataset_key=key_of(1),
        dataset_sha256=read(weeks, 1).sha256,
        reason="halved",
    )
    decide(weeks, decision)

    assert ages(load(weeks, asked=2)) == [2]
    assert f"the model of {key_of(1)} was withdrawn (a_model_0123456789abcdef)." in caplog.text


@pytest.mark.parametrize("is_published", [False, True], ids=["refused", "accepted later"])
def test_a_week_whose_model_was_refused_is_left_out_unless_another_was_published(
    is_published: bool, weeks: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    refused = keep_model(weeks, REFUSED, age=1)
    if is_published:
        keep_model(weeks, MODELS, age=1, minutes=5)

    assert ages(load(weeks, asked=2)) == ([1, 2] if is_published else [2])
    assert (f"was refused ({refused})" in caplog.text) != is_published


@pytest.mark.parametrize(("date", "is_read"), [("2026-11-05", False), ("2026-11-06", True)])
def test_refused_models_since_the_oldest_week_are_read_and_unreadable_ones_told_of(
    date: str, is_read: bool, weeks: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    weeks.write_new(f"{REFUSED}/time_to_dispatch_{date}T00-00-00_0123456789abcdef.onnx", b"broken")

    assert ages(load(weeks, asked=2)) == [1, 2]
    assert ("Not asked for the dataset that it was made of" in caplog.text) == is_read

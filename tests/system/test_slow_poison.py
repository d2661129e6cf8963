"""Weeks that change a little each week, as the training stage meets them one after the other."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.model.artifact import MODELS
from pipeline.model.order import HOURS
from pipeline.model.reader import load_model
from pipeline.orders.simulator import simulate_orders
from pipeline.stores.directory import DirectoryStore
from pipeline.train_model import main
from tests.support.helpers import deliver, logged, names_in

pytestmark = pytest.mark.slow


def week(number: int, factor: float) -> pd.DataFrame:
    orders = simulate_orders(400, seed=number)
    return orders.assign(**{HOURS: orders[HOURS] * factor})


def test_labels_that_echo_the_estimates_are_refused_and_block_no_sound_week_if_accepted(
    production: Path, caplog: pytest.LogCaptureFixture
) -> None:
    champion = load_model(DirectoryStore(str(production)))
    echo = simulate_orders(1_000, seed=3)
    deliver(production, echo.assign(**{HOURS: champion.estimate(echo)}))

    assert main([str(production)]) == 3
    (error,) = logged(caplog, "ERROR")
    assert "labels agree with estimates to" in error
    assert main([str(production), "--accept-shift"]) == 0

    deliver(production, simulate_orders(1_000, seed=4))
    assert main([str(production)]) == 0


def test_rows_that_an_earlier_model_was_trained_on_are_no_new_week(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        deliver(tmp_path, week(number, 1.0))
        assert main([str(tmp_path)]) == 0
    oldest, *_ = names_in(tmp_path / MODELS)

    deliver(tmp_path, week(0, 1.0).sample(frac=1, random_state=1))

    assert main([str(tmp_path)]) == 3
    (error,) = logged(caplog, "ERROR")
    assert "this is no new week: a model was trained on the same 400 rows on" in error
    assert f"The model is {oldest}" in error
    assert main([str(tmp_path), "--accept-shift"]) == 0


def test_labels_that_grow_each_week_are_warned_of_refused_and_accepted_as_the_new_reference(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exit_codes, warned = [], []
    for number in range(4):
        caplog.clear()
        deliver(tmp_path, week(number, 1.17**number))
        exit_codes.append(main([str(tmp_path)]))
        warned.append("Make sure that the hours really change" in caplog.text)

    assert exit_codes == [0, 0, 0, 3]
    assert warned[2:] == [True, True]
    (error,) = logged(caplog, "ERROR")
    assert "times those of the model of" in error and "--accept-shift" in error
    assert len(names_in(tmp_path / MODELS)) == 3

    assert main([str(tmp_path), "--accept-shift"]) == 0
    caplog.clear()
    deliver(tmp_path, week(4, 1.17**3))
    assert main([str(tmp_path)]) == 0
    assert "really change" not in caplog.text


def test_a_week_without_its_late_orders_is_refused_and_blocks_no_whole_week_if_accepted(
    production: Path, caplog: pytest.LogCaptureFixture
) -> None:
    orders = simulate_orders(1_000, seed=3)
    deliver(production, orders[orders[HOURS] <= 10])

    assert main([str(production)]) == 3
    (error,) = logged(caplog, "ERROR")
    assert "share of rows that should have a label above the largest one is" in error
    assert "late orders are missing" in error
    assert main([str(production), "--accept-shift"]) == 0

    deliver(production, simulate_orders(1_000, seed=4))
    assert main([str(production)]) == 0


def test_drift_that_is_not_far_outside_is_refused_if_people_want_that(production: Path) -> None:
    deliver(production, simulate_orders(450, seed=3))

    assert main([str(production), "--on-drift", "fail"]) == 3
    assert main([str(production), "--on-drift", "fail", "--accept-shift"]) == 0

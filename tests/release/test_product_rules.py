"""Products that cannot be trusted, told from those that look odd by chance, and what they stop."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from pipeline.curves.noise import NoiseScale
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.release.product_rules import (
    Doubt,
    doubt_biased,
    doubt_surprising,
    doubt_swapped,
    doubt_unfit,
    doubt_unskilled,
    untrusted_failures,
)
from pipeline.release.rules import far_outliers
from pipeline.release.swaps import Swap
from pipeline.training.fitting import ModelNoise
from pipeline.training.selection import OutOfSample
from tests.support.builders import own_noise_of

MAX_OUTLIER_SHARE = 0.05
NO_STEPS = pd.Series(0.0, index=["A", "B"])


def unfit_among(outliers_by_code: dict[str, tuple[int, int]]) -> Doubt:
    """Return the unfit of products with so many outliers, 20 h off, among so many rows."""
    codes = np.repeat(list(outliers_by_code), [rows for _, rows in outliers_by_code.values()])
    is_outlier: npt.NDArray[np.bool_] = np.concatenate(
        [np.arange(rows) < outliers for outliers, rows in outliers_by_code.values()]
    )
    distances = np.where(is_outlier, -40.0, 0.0)
    noise = NoiseScale.unit(len(outliers_by_code))
    model_noise = ModelNoise(noise, own_noise_of(noise), np.full(len(codes), 0.5), distances)
    return doubt_unfit(pd.Series(codes), model_noise, MAX_OUTLIER_SHARE)


@pytest.mark.parametrize(
    ("outliers", "rows", "unfit"),
    [
        (120, 200, True),
        (21, 200, True),  # P(X >= 21) = 0.0012, below 0.01 / 4 products
        (19, 200, False),  # P(X >= 19) = 0.0058
        (2, 5, False),
        (5, 5, True),
    ],
)
def test_a_product_is_unfit_by_more_than_chance(outliers: int, rows: int, unfit: bool) -> None:
    others = {code: (0, 600) for code in "ABC"}

    found = unfit_among({"STOCK": (outliers, rows), **others})

    assert list(found.products) == (["STOCK"] if unfit else [])


def test_outliers_nearer_than_a_hundredth_of_an_hour_do_not_count() -> None:
    noise = NoiseScale.unit(1)
    hours = np.array([0.00024, 0.00026, 1.0])
    found = far_outliers(ModelNoise(noise, own_noise_of(noise), hours, np.array([40, -40, 5.9])))

    assert found.tolist() == [False, True, False]


def test_the_more_products_there_are_the_more_it_takes() -> None:
    many = {f"P{i}": (0, 50) for i in range(1_000)}

    assert list(unfit_among({"A": (8, 50), "B": (0, 50)}).products) == ["A"]
    assert list(unfit_among({"A": (8, 50), **many}).products) == []


@pytest.mark.parametrize("seed", range(5))
def test_products_at_the_limit_are_hardly_ever_called_unfit(seed: int) -> None:
    random = np.random.default_rng(seed)
    weeks = [
        {f"P{i}": (int(random.binomial(100, MAX_OUTLIER_SHARE)), 100) for i in range(20)}
        for _ in range(20)
    ]

    assert sum(bool(unfit_among(week).products) for week in weeks) <= 1


def unseen_of(residuals: npt.ArrayLike, code: str = "A", hours: float = 9.0) -> OutOfSample:
    """Return rows of one product that are so far from their estimates, beside exact ones of B."""
    off = np.concatenate([np.asarray(residuals, dtype=float), np.zeros(50)])
    codes = [code] * (len(off) - 50) + ["B"] * 50
    rows = pd.DataFrame({PRODUCT: codes, ORDERS: 1.0, HOURS: hours})
    return OutOfSample(rows, hours - off)


@pytest.mark.parametrize(
    ("error", "rows", "unskilled"),
    [(1.26, 10, True), (1.24, 10, False), (1.26, 9, False)],
)
def test_a_product_is_unskilled_if_a_guess_is_a_quarter_better(
    error: float, rows: int, unskilled: bool
) -> None:
    unseen = unseen_of(np.full(rows, error))
    guessed = {"mean": np.full(rows + 50, 7.0), "median": np.full(rows + 50, 8.0)}

    found = doubt_unskilled(unseen, guessed, NO_STEPS).products

    assert found == ({"A": "error 1.3 h, that of the median 1.0 h"} if unskilled else {})


@pytest.mark.parametrize(("last", "unskilled"), [(2.0, True), (20.0, False)])
def test_a_guess_is_better_by_more_than_chance(last: float, unskilled: bool) -> None:
    unseen = unseen_of([1.2] * 11 + [last])
    guessed = {"mean": np.full(len(unseen.rows), 8.0)}

    assert list(doubt_unskilled(unseen, guessed, NO_STEPS).products) == ["A"] * unskilled


def test_errors_of_less_than_a_hundredth_of_an_hour_are_fine() -> None:
    unseen = unseen_of(np.full(20, 0.012))

    assert not doubt_unskilled(unseen, {"mean": np.full(70, 9.0)}, NO_STEPS).products
    assert not doubt_biased(unseen_of(np.full(20, 0.009)), np.full(70, 0.002)).products


@pytest.mark.parametrize(("step", "unskilled"), [(3.9, True), (4.1, False)])
def test_what_rounding_explains_is_fine(step: float, unskilled: bool) -> None:
    unseen = unseen_of(np.full(20, 1.25))
    guessed = {"median": unseen.rows[HOURS].to_numpy(dtype=float)}

    found = doubt_unskilled(unseen, guessed, pd.Series(step, index=["A", "B"]))

    assert list(found.products) == ["A"] * unskilled


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("bias", "spread", "biased"),
    [(0.51, 0.1, True), (0.49, 0.1, False), (0.6, 2.0, False)],
)
def test_a_product_is_biased_by_more_than_its_noise_and_chance(
    sign: int, bias: float, spread: float, biased: bool
) -> None:
    unseen = unseen_of(sign * (bias + spread * np.tile([1.0, -1.0], 8)))

    found = doubt_biased(unseen, np.full(len(unseen.rows), 0.5)).products

    assert list(found) == ["A"] * biased


def test_outliers_are_no_bias() -> None:
    unseen = unseen_of([9.0] * 8 + [0.0] * 12)

    assert not doubt_biased(unseen, np.full(len(unseen.rows), 0.5)).products


ROWS = {"A": 1_800, "SMALL": 40, "STOCK": 160}
UNFIT = unfit_among({"A": (0, 1_800), "SMALL": (20, 40), "STOCK": (80, 160)})


@pytest.mark.parametrize(("max_unfit_share", "refused"), [(0.09, True), (0.1, False)])
def test_untrusted_products_with_too_many_rows_are_a_failure_that_names_them(
    max_unfit_share: float, refused: bool
) -> None:
    failures = untrusted_failures([UNFIT], ROWS, max_unfit_share)

    assert [failure.summary for failure in failures] == refused * [
        "products whose estimates cannot be trusted have 10.0% of the rows, more than the limit "
        "of 0.09"
    ]
    if refused:
        (failure,) = failures
        assert failure.details[0].endswith(
            "Products: 'STOCK' (160 rows; 50% outliers, error 10.0 h), 'SMALL' (40 rows; 50% "
            "outliers, error 10.0 h)."
        )
        assert failure.remedy is not None and "--max-unfit-share" in failure.remedy
        assert "--accept-shift" not in failure.remedy


def test_a_product_counts_once_however_many_reasons_there_are_to_doubt_it() -> None:
    surprise = pd.DataFrame({"hours": [9.0], "estimate": [4.0]}, index=["STOCK"])
    doubts = [UNFIT, doubt_surprising(surprise), doubt_swapped([Swap("SMALL", "STOCK")])]

    (failure,) = untrusted_failures(doubts, ROWS, 0.05)

    assert failure.value == 0.1
    assert failure.details[1].endswith("'STOCK' (160 rows; off by 9.0 h where it says 4.0 h).")
    assert failure.details[2].endswith("(160 rows; with 'SMALL'), 'SMALL' (40 rows; with 'STOCK').")
    assert failure.remedy is not None and "--accept-shift" in failure.remedy

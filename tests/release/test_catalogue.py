"""Products that came and went: each share on both sides of its limit; codes written otherwise."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from pipeline.model.metadata import CatalogueChange
from pipeline.orders.week_rows import WeekRows
from pipeline.release.catalogue import catalogue_failures, compare_catalogues
from tests.support.builders import LineModel, metadata_of

MAX_VANISHED, MAX_NEW = 0.1, 0.3


def week_of(rows_by_code: Mapping[str, int]) -> pd.DataFrame:
    """Return a week with so many rows of each product."""
    codes = np.repeat(list(rows_by_code), list(rows_by_code.values()))
    return pd.DataFrame({"product_code": codes, "orders_placed": 9.0, "hours_to_dispatch": 5.0})


def change_between(
    before: Mapping[str, int], now: Mapping[str, int], *retired: str
) -> CatalogueChange:
    champion = LineModel("champion", metadata_of(week_of(before)), {})
    return compare_catalogues(champion, WeekRows.of(week_of(now)).products["rows"], set(retired))


def failures_between(before: Mapping[str, int], now: Mapping[str, int]) -> list[str]:
    """Return summary and details of the failures as one text each."""
    failures = catalogue_failures(change_between(before, now), MAX_VANISHED, MAX_NEW)
    return [" ".join((failure.summary, *failure.explanation)) for failure in failures]


@pytest.mark.parametrize(("rows", "refused"), [(100, False), (101, True)])
def test_too_many_rows_of_vanished_products_are_a_failure(rows: int, refused: bool) -> None:
    found = failures_between({"A": 1_000 - rows, "B": rows}, {"A": 1_000})

    assert found == refused * [
        "this week is unlike the last: 10.1% of the last rows are of products that vanished, more "
        "than the limit of 0.1 Products: 'B'. If the catalogue really changed, --accept-shift "
        "publishes the new model; a larger --max-vanished-share accepts every such week."
    ]


def test_retired_products_may_vanish() -> None:
    change = change_between({"A": 500, "B\u200b": 500}, {"A": 1_000}, "B")

    assert (change.vanished.product_code, change.vanished.share) == ((), 0.0)


@pytest.mark.parametrize(("rows", "refused"), [(300, False), (301, True)])
def test_too_many_rows_of_new_products_are_a_failure(rows: int, refused: bool) -> None:
    found = failures_between({"A": 1_000}, {"A": 1_000 - rows, "B": rows})

    assert [text.split(", more")[0] for text in found] == refused * [
        "this week is unlike the last: 30.1% of the rows are of new products"
    ]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("00123", "123"),
        ("SKU001", "sku001"),
        ("SKU001", "SKU1"),
        ("AB-12 C", "AB12C"),
        ("00305", "305.0"),
        ("Ärmel 7", "ÄRMEL/07"),
    ],
)
def test_a_code_that_is_only_written_otherwise_is_named_with_the_known_one(
    before: str, now: str
) -> None:
    vanished, new = failures_between({before: 500, "OTHER": 500}, {now: 500, "OTHER": 500})

    assert f"Codes are written in another way: {before!r} is now {now!r}." in vanished
    assert f"{before!r} is now {now!r}." in new


@pytest.mark.parametrize(
    ("before", "now"), [("100", "10"), ("A1", "B1"), ("1-1", "1-2"), ("-", "+")]
)
def test_other_codes_are_other_products(before: str, now: str) -> None:
    assert change_between({before: 9}, {now: 9}).rewritten == ()


def test_a_code_in_two_spellings_is_named_although_nothing_vanished() -> None:
    change = change_between({"SKU001": 100}, {"SKU001": 60, "sku001": 40})

    (failure,) = catalogue_failures(change, MAX_VANISHED, MAX_NEW)

    assert "'sku001' stands beside 'SKU001'" in " ".join(failure.details)


def test_the_products_with_most_rows_are_named_first() -> None:
    many = {f"P{i}": 10 + i for i in range(9)}

    (failure,) = catalogue_failures(change_between({"A": 99, **many}, {"A": 99}), 0.1, 0.3)

    assert "Products: 'P8', 'P7', 'P6', 'P5', 'P4' and 4 more." in failure.details


@pytest.mark.parametrize("products", [100, 500, 2_000])
def test_products_with_few_rows_may_miss_a_week(products: int) -> None:
    """All weeks have 1,000 rows of equally frequent products."""
    codes = [f"P{i:04}" for i in range(products)]
    random = np.random.default_rng(1)
    weeks = [
        dict(zip(codes, map(int, random.multinomial(1_000, np.full(products, 1 / products)))))
        for _ in range(30)
    ]

    sound = [failures_between(one, other) for one, other in zip(weeks, weeks[1:])]
    renamed = [
        failures_between(one, {code.lower(): rows for code, rows in other.items()})
        for one, other in zip(weeks, weeks[1:])
    ]

    assert not any(sound)
    assert all(renamed)

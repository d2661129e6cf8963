"""Which rows train, which test, and which are enough to choose by."""

import numpy as np
import pandas as pd
import pytest

from pipeline.orders.repeats import find_repeats
from pipeline.orders.simulator import simulate_orders
from pipeline.orders.splits import assign_folds, plan_thinning, split_orders
from pipeline.stages.errors import DatasetError


def orders_of(rows_of_product: dict[str, int]) -> pd.DataFrame:
    """Return rows of products one after another, all different."""
    codes = [code for code, rows in rows_of_product.items() for _ in range(rows)]
    orders = [float(i) for i in range(len(codes))]
    columns = {"product_code": codes, "orders_placed": orders, "hours_to_dispatch": orders}
    return pd.DataFrame(columns).astype({"product_code": "category"})


def counts(orders: pd.DataFrame) -> dict[str, int]:
    """Return the rows of each product that has any."""
    rows = orders["product_code"].value_counts()
    return {str(code): int(count) for code, count in rows.items() if count}


# Training and test rows


def test_a_fifth_of_each_product_tests_and_the_rest_trains_and_of_small_ones_all() -> None:
    split = split_orders(orders_of({"A": 100, "C": 10, "D": 14, "FIVE": 5, "FOUR": 4, "ONE": 1}))

    assert counts(split.test) == {"A": 20, "C": 2, "D": 2, "FIVE": 1}
    assert counts(split.train) == {"A": 80, "C": 8, "D": 12, "FIVE": 4, "FOUR": 4, "ONE": 1}


def test_training_and_test_rows_are_disjoint_and_together_all() -> None:
    orders = simulate_orders(333, seed=1)

    split = split_orders(orders)

    assert not set(split.train.index) & set(split.test.index)
    assert pd.concat([split.train, split.test]).sort_index().equals(orders)
    assert split_orders(orders.copy()).test.equals(split.test)


def test_test_rows_are_not_those_of_a_time_of_the_week() -> None:
    split = split_orders(orders_of({"A": 1000}))

    assert split.test["orders_placed"].mean() == pytest.approx(500, abs=60)
    assert np.unique(np.diff(split.test["orders_placed"])).size > 5


def test_a_dataset_without_testable_product_is_refused() -> None:
    message = (
        r"Cannot judge a model on this dataset: no product has 5 rows or more "
        r"\(there are 8 rows of 2 products\)\."
    )
    with pytest.raises(DatasetError, match=message):
        split_orders(orders_of({"A": 4, "B": 4}))


def test_the_rows_of_each_product_are_dealt_out_evenly() -> None:
    orders = orders_of({"A": 17, "B": 5, "C": 3, "D": 1})

    folds = assign_folds(orders, find_repeats(orders))

    table = pd.crosstab(orders["product_code"].astype(str), folds)
    assert table.to_numpy().tolist() == [
        [4, 4, 3, 3, 3],
        [1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0],
        [1, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("products", [1, 300, 70_000])
def test_any_number_of_products_is_dealt_out(products: int) -> None:
    rows = np.arange(5 * products)
    orders = pd.DataFrame(
        {"product_code": rows % products, "orders_placed": 1.0, "hours_to_dispatch": rows / 7}
    )

    split = split_orders(orders)

    assert split.test["product_code"].is_unique
    assert len(split.test) == products


def test_rows_that_were_delivered_again_stay_in_one_fold() -> None:
    week = simulate_orders(200, seed=1)
    thrice = pd.concat([week] * 3, ignore_index=True)

    split = split_orders(thrice)

    assert split.repeats.copies == 3
    assert set(split.test.index) == {
        i + 200 * n for i in split_orders(week).test.index for n in range(3)
    }
    folds = assign_folds(thrice, split.repeats).reshape(3, -1)
    assert (folds == folds[0]).all()


def test_a_product_with_too_few_different_rows_cannot_be_tested() -> None:
    orders = pd.concat([orders_of({code: 4 for code in "ABCDE"})] * 3)

    with pytest.raises(DatasetError, match="no product has 5 rows or more that differ"):
        split_orders(orders)


# Rows to choose by


def test_a_week_that_is_small_enough_stays_whole() -> None:
    orders = simulate_orders(500, seed=2)

    assert plan_thinning(orders, most_rows=500, rows_per_product=10).of(orders).equals(orders)


def test_of_many_products_some_keep_all_their_rows() -> None:
    orders = orders_of({f"SKU{i:03}": 20 for i in range(200)})

    thinned = plan_thinning(orders, most_rows=1000, rows_per_product=500).of(orders)

    assert set(counts(thinned).values()) == {20}
    assert len(thinned) == 1000
    again = plan_thinning(orders.copy(), most_rows=1000, rows_per_product=500)
    assert thinned.equals(again.of(orders))


def test_of_products_with_many_rows_each_keeps_enough() -> None:
    orders = orders_of({"A": 5000, "B": 5000})

    thinned = plan_thinning(orders, most_rows=2000, rows_per_product=500).of(orders)

    assert counts(thinned) == {"A": 1000, "B": 1000}
    assert np.ptp(thinned["orders_placed"]) > 9000


@pytest.mark.parametrize("small_products", [1, 2, 10, 39])
def test_a_huge_product_among_small_ones_leaves_enough_rows(small_products: int) -> None:
    small = {f"SKU{i:03}": 2 for i in range(small_products)}
    orders = orders_of({"HUGE": 3000, **small})

    thinned = plan_thinning(orders, most_rows=1000, rows_per_product=500).of(orders)

    assert 300 <= len(thinned) <= 3000

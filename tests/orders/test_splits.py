"""Which rows train, which test, and which are enough to choose by."""

import numpy as np
import pandas as pd
import pytest

from pipeline.orders.simulator import simulate_orders
from pipeline.orders.splits import assign_folds, split_orders, subsample
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


def test_a_fifth_of_each_product_tests_and_the_rest_trains() -> None:
    orders = orders_of({"A": 100, "B": 50, "C": 10, "D": 14})

    split = split_orders(orders)

    assert counts(split.test) == {"A": 20, "B": 10, "C": 2, "D": 2}
    assert counts(split.train) == {"A": 80, "B": 40, "C": 8, "D": 12}


def test_training_and_test_rows_are_disjoint_and_together_all() -> None:
    orders = simulate_orders(333, seed=1)

    split = split_orders(orders)

    assert not set(split.train.index) & set(split.test.index)
    assert pd.concat([split.train, split.test]).sort_index().equals(orders)
    assert orders[split.is_test].equals(split.test)


def test_the_split_is_the_same_every_time() -> None:
    orders = simulate_orders(200, seed=1)

    assert split_orders(orders).test.equals(split_orders(orders.copy()).test)


def test_test_rows_are_not_those_of_a_time_of_the_week() -> None:
    split = split_orders(orders_of({"A": 1000}))

    assert split.test["orders_placed"].mean() == pytest.approx(500, abs=60)
    assert np.unique(np.diff(split.test["orders_placed"])).size > 5


def test_products_with_fewer_than_five_rows_only_train() -> None:
    split = split_orders(orders_of({"A": 40, "FOUR": 4, "FIVE": 5, "ONE": 1}))

    assert counts(split.test) == {"A": 8, "FIVE": 1}
    assert counts(split.train) == {"A": 32, "FOUR": 4, "FIVE": 4, "ONE": 1}


def test_many_products_with_few_rows_can_be_split() -> None:
    split = split_orders(orders_of({f"SKU{i:05}": 5 + i % 3 for i in range(1000)}))

    assert set(counts(split.test).values()) == {1}
    assert len(counts(split.test)) == 1000


def test_a_dataset_without_testable_product_is_refused() -> None:
    message = (
        r"Cannot judge a model on this dataset: no product has 5 rows or more "
        r"\(there are 8 rows of 2 products\)\."
    )
    with pytest.raises(DatasetError, match=message):
        split_orders(orders_of({"A": 4, "B": 4}))


def test_the_rows_of_each_product_are_dealt_out_evenly() -> None:
    orders = orders_of({"A": 17, "B": 5, "C": 3, "D": 1})

    folds = assign_folds(orders)

    table = pd.crosstab(orders["product_code"].astype(str), folds)
    assert table.to_numpy().tolist() == [
        [4, 4, 3, 3, 3],
        [1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0],
        [1, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("products", [1, 300, 70_000])
def test_any_number_of_products_is_dealt_out(products: int) -> None:
    orders = pd.DataFrame({"product_code": np.tile(np.arange(products), 5)})

    split = split_orders(orders)

    assert split.test["product_code"].is_unique
    assert len(split.test) == products


# Rows to choose by


def test_a_week_that_is_small_enough_stays_whole() -> None:
    orders = simulate_orders(500, seed=2)

    assert subsample(orders, most_rows=500, rows_per_product=10).equals(orders)


def test_of_many_products_some_keep_all_their_rows() -> None:
    orders = orders_of({f"SKU{i:03}": 20 for i in range(200)})

    thinned = subsample(orders, most_rows=1000, rows_per_product=500)

    assert set(counts(thinned).values()) == {20}
    assert len(thinned) == 1000


def test_of_products_with_many_rows_each_keeps_enough() -> None:
    orders = orders_of({"A": 5000, "B": 5000})

    thinned = subsample(orders, most_rows=2000, rows_per_product=500)

    assert counts(thinned) == {"A": 1000, "B": 1000}
    assert np.ptp(thinned["orders_placed"]) > 9000


def test_rows_are_thinned_out_the_same_way_every_time() -> None:
    orders = orders_of({f"SKU{i:03}": 5 + i for i in range(100)})

    thinned = subsample(orders, most_rows=1000, rows_per_product=500)

    assert thinned.equals(subsample(orders.copy(), most_rows=1000, rows_per_product=500))
    assert 500 < len(thinned) <= 1000


@pytest.mark.parametrize("small_products", range(1, 40))
def test_a_huge_product_among_small_ones_leaves_enough_rows(small_products: int) -> None:
    small = {f"SKU{i:03}": 2 for i in range(small_products)}

    thinned = subsample(orders_of({"HUGE": 3000, **small}), most_rows=1000, rows_per_product=500)

    assert 300 <= len(thinned) <= 3000

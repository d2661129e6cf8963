"""Which rows train and which test."""

import pandas as pd
import pytest

from pipeline.model_selection import TRAIN_SHARE, fit_regressor, split_orders
from pipeline.order_simulator import simulate_orders
from pipeline.stage_errors import DatasetError


def orders_of(rows_of_product: dict[str, int]) -> pd.DataFrame:
    codes = [code for code, rows in rows_of_product.items() for _ in range(rows)]
    orders = [float(i) for i in range(len(codes))]
    columns = {"product_code": codes, "orders_placed": orders, "hours_to_dispatch": orders}
    return pd.DataFrame(columns).astype({"product_code": "category"})


def test_a_fifth_of_each_product_tests_and_the_rest_trains() -> None:
    orders = orders_of({"A": 100, "B": 50, "C": 10})

    train, test = split_orders(orders)

    assert test["product_code"].value_counts().to_dict() == {"A": 20, "B": 10, "C": 2}
    assert pd.concat([train, test]).sort_index().equals(orders)


def test_the_split_is_the_same_every_time() -> None:
    orders = simulate_orders(200, seed=1)

    assert split_orders(orders).test.index.equals(split_orders(orders).test.index)


def test_products_with_fewer_than_five_rows_only_train() -> None:
    train, test = split_orders(orders_of({"A": 40, "FOUR": 4, "FIVE": 5, "ONE": 1}))

    assert set(test["product_code"]) == {"A", "FIVE"}
    assert {"FOUR", "ONE", "FIVE"} <= set(train["product_code"])


def test_many_products_with_few_rows_can_be_split() -> None:
    train, test = split_orders(orders_of({f"SKU{i:05}": 5 + i % 3 for i in range(1000)}))

    assert set(test["product_code"]) <= set(train["product_code"])


def test_a_dataset_without_testable_product_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"no product has 5 rows or more \(there are 8 rows"):
        split_orders(orders_of({"A": 4, "B": 4}))


@pytest.mark.parametrize("rows", [5, 6, 7, 10])
def test_a_product_is_judged_by_the_kind_of_line_that_is_published(rows: int) -> None:
    orders = pd.concat([orders_of({"A": 50}), orders_of({"B": rows})], ignore_index=True)
    train, _ = split_orders(orders)

    judged = fit_regressor(train, TRAIN_SHARE)

    assert judged.borrowed_.tolist() == fit_regressor(orders).borrowed_.tolist() == [False, False]


def test_a_regressor_is_fitted_on_all_rows_that_it_gets() -> None:
    orders = orders_of({"A": 5, "B": 1})

    assert fit_regressor(orders).products_.tolist() == ["A", "B"]

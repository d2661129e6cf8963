"""A week in files is the week in memory: the same rows, products and samples."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.orders.buckets import BucketFiles
from pipeline.orders.hashes import hash_codes, hash_of_rows
from pipeline.orders.week_rows import WeekRows, gather_rows
from pipeline.stages.errors import StoreError

COLUMNS = [PRODUCT, ORDERS, HOURS]
MAX_SAMPLE_ROWS = 2000


def orders_of(products: int, rows: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    codes = np.array([f"P{i:05}" for i in range(products)], dtype=object)
    product = random.integers(0, products, rows)
    orders = random.integers(0, 300, rows).astype(float)
    columns = {PRODUCT: codes[product], ORDERS: orders, HOURS: random.gamma(2, 4, rows)}
    return pd.DataFrame(columns).astype({PRODUCT: "category"})


def chunks(orders: pd.DataFrame, rows: int) -> Iterator[pd.DataFrame]:
    for start in range(0, len(orders), rows):
        chunk = orders.iloc[start : start + rows]
        yield chunk.assign(**{PRODUCT: chunk[PRODUCT].cat.remove_unused_categories()})


def sorted_rows(orders: pd.DataFrame) -> list[tuple[object, ...]]:
    plain = orders.astype({PRODUCT: object})[COLUMNS]
    return sorted(plain.itertuples(index=False, name=None))


def test_a_scratch_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    gone, orders = tmp_path / "gone", orders_of(2, 9)

    with pytest.raises(StoreError, match=f"Cannot write rows into {gone}: No such file"):
        gather_rows([orders], gone, max_sample_rows=8)
    with pytest.raises(StoreError, match=f"Cannot write rows into {gone}: No such file"):
        BucketFiles(gone).write(orders)


@pytest.mark.parametrize("rows_of_chunk", [700, 4999])
def test_a_large_week_in_files_has_all_rows_and_a_sample_of_them(
    rows_of_chunk: int, tmp_path: Path
) -> None:
    orders = orders_of(300, 9000)
    whole = WeekRows.of(orders)

    week = gather_rows(chunks(orders, rows_of_chunk), tmp_path, MAX_SAMPLE_ROWS)

    assert week.is_sampled and not whole.is_sampled
    assert week.n_rows == 9000
    assert week.hash.hexdigest() == hash_of_rows(orders)
    pd.testing.assert_frame_equal(week.products, whole.products)
    buckets = [bucket.rows() for bucket in week.buckets]
    assert sorted_rows(pd.concat([b.astype({PRODUCT: object}) for b in buckets])) == sorted_rows(
        orders
    )
    products = [code for rows in buckets for code in rows[PRODUCT].unique()]
    assert len(products) == len(set(products)) == 300
    assert 1000 < len(week.sample) <= 2000
    assert set(sorted_rows(week.sample)) <= set(sorted_rows(orders))
    assert week.sample[HOURS].mean() == pytest.approx(orders[HOURS].mean(), rel=0.1)


def test_samples_do_not_depend_on_how_the_rows_came(tmp_path: Path) -> None:
    orders = orders_of(300, 9000)
    shuffled = orders.sample(frac=1, random_state=1)

    first, second = (
        gather_rows(chunks(o, n), tmp_path, MAX_SAMPLE_ROWS)
        for o, n in ((orders, 900), (shuffled, 50))
    )

    assert sorted_rows(first.sample) == sorted_rows(second.sample)
    assert sorted_rows(first.whole_products(500)) == sorted_rows(second.whole_products(500))


def test_whole_products_have_all_their_rows(tmp_path: Path) -> None:
    orders = orders_of(300, 9000)
    rows = orders[PRODUCT].value_counts()

    some = gather_rows(chunks(orders, 900), tmp_path, MAX_SAMPLE_ROWS).whole_products(500)

    assert 400 < len(some) <= 500
    found = some[PRODUCT].value_counts()
    assert found.to_dict() == rows[found.index.astype(object)].to_dict()


@pytest.mark.parametrize("place", [0, 1, 5])
def test_a_product_with_nearly_all_rows_leaves_room_for_others(place: int) -> None:
    small = orders_of(30, 300)
    codes = small[PRODUCT].cat.categories
    heavy = codes[np.argsort(hash_codes(codes))[place]]
    many = orders_of(1, 9000).assign(**{PRODUCT: pd.Categorical([heavy] * 9000, codes)})

    some = WeekRows.of(pd.concat([small, many])).whole_products(500)

    assert 100 < len(some) <= 500
    rows = some[PRODUCT].value_counts()
    assert rows[heavy] <= 50
    assert (rows > 0).sum() > 15


def test_a_product_with_nearly_all_rows_loses_some_in_a_sample_of_whole_products() -> None:
    orders = orders_of(1, 9000)

    assert 400 <= len(WeekRows.of(orders).whole_products(500)) <= 500


def test_files_go_with_the_week(tmp_path: Path) -> None:
    week = gather_rows(chunks(orders_of(3, 2500), 900), tmp_path, MAX_SAMPLE_ROWS)
    assert len(list(tmp_path.glob("*/*.arrow"))) == 3

    del week

    assert not list(tmp_path.iterdir())

"""The labels that rows of a product share are counted for all products at once."""

import numpy as np

from pipeline.curves.labels import count_labels, in_units


def test_labels_are_counted_by_product() -> None:
    product = np.array([3, 1, 3, 3, 1, 3])
    counts = count_labels(product, in_units(np.array([2.0, 5.5, 0.0, 2.0, 5.5, 7.0])))

    assert counts.product.tolist() == [1, 3, 3, 3]
    assert counts.units.tolist() == in_units(np.array([5.5, 0.0, 2.0, 7.0])).tolist()
    assert counts.rows.tolist() == [2, 1, 2, 1]
    assert counts.labels.tolist() == [1, 3]
    assert counts.rows_of_product.tolist() == [2, 4]
    assert counts.most_frequent.tolist() == [0, 2]


def test_the_least_of_equally_frequent_labels_is_taken() -> None:
    counts = count_labels(np.zeros(4, dtype=np.intp), in_units(np.array([4.0, 1.0, 4.0, 1.0])))

    assert counts.units[counts.most_frequent].tolist() == in_units(np.array([1.0])).tolist()


def test_labels_that_differ_by_rounding_are_the_same() -> None:
    counts = count_labels(np.zeros(2, dtype=np.intp), in_units(np.array([0.1 + 0.2, 0.3])))

    assert counts.rows.tolist() == [2]

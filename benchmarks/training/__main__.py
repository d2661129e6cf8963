"""Time and memory of the training stage, and size and speed of what it publishes.

`python -m benchmarks.training [--repeats N] [--largest EXPONENT] [--in-parts]`
"""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.measuring.result_tables import write_results
from benchmarks.training.estimate_costs import measure_catalogue
from benchmarks.training.many_products import SIZES, measure_many_products
from benchmarks.training.many_rows import measure_many_rows
from benchmarks.training.stage_costs import (
    GOAL_EXPONENT,
    PRODUCTS_BY_EXPONENT,
    compare_with_tree,
    measure_dataset,
)
from benchmarks.training.tables import (
    print_comparison,
    print_datasets,
    print_estimates,
    print_many_products,
    print_many_rows,
)


def main(arguments: Sequence[str] = ()) -> int:
    """Measure, print the tables, write the JSON and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement of training")
    exponent = "power of ten of the rows of the largest dataset"
    parser.add_argument(
        "--largest", type=int, default=GOAL_EXPONENT, choices=PRODUCTS_BY_EXPONENT, help=exponent
    )
    parser.add_argument(
        "--in-parts", action="store_true", help="a week of 10^8 rows too, alone and on Dask workers"
    )
    options = parser.parse_args(arguments)
    comparison = compare_with_tree(options.repeats)
    print_comparison(comparison)
    exponents = range(min(PRODUCTS_BY_EXPONENT), options.largest + 1)
    datasets = [measure_dataset(exponent, options.repeats) for exponent in exponents]
    print_datasets(datasets)
    many = (
        [measure_many_products(*size) for size in SIZES] if options.largest == GOAL_EXPONENT else []
    )
    print_many_products(many, datasets[0].cpu_seconds)
    in_parts = measure_many_rows() if options.in_parts else None
    if in_parts is not None:
        print_many_rows(in_parts, datasets[0].cpu_seconds)
    estimates = measure_catalogue()
    print_estimates(estimates)
    results = {
        "tree": comparison._asdict(),
        "datasets": [{**cost._asdict(), "goals": cost.goals(datasets[0])} for cost in datasets],
        "many_products": [cost._asdict() for cost in many],
        "in_parts": None if in_parts is None else in_parts.facts(datasets[0].cpu_seconds),
        "estimates": [cost._asdict() for cost in estimates],
    }
    write_results("training", results)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

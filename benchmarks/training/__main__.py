"""Time and memory of the training stage, and size and speed of what it publishes.

`python -m benchmarks.training [--repeats N] [--largest EXPONENT]`
"""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.measuring.result_tables import write_results
from benchmarks.training.estimate_costs import measure_catalogue
from benchmarks.training.many_products import SIZES, measure_many_products
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
)


def main(arguments: Sequence[str] = ()) -> int:
    """Measure, print four tables, write the JSON and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement of training")
    exponent = "power of ten of the rows of the largest dataset"
    parser.add_argument(
        "--largest", type=int, default=GOAL_EXPONENT, choices=PRODUCTS_BY_EXPONENT, help=exponent
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
    estimates = measure_catalogue()
    print_estimates(estimates)
    results = {
        "tree": comparison._asdict(),
        "datasets": [{**cost._asdict(), "goals": cost.goals(datasets[0])} for cost in datasets],
        "many_products": [cost._asdict() for cost in many],
        "estimates": [cost._asdict() for cost in estimates],
    }
    write_results("training", results)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

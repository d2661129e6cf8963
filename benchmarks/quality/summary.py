"""What `benchmarks.quality.seeds` measures, its means over the seeds of a world, and its goals."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.measuring.result_tables import UNKNOWN, number, print_table, verdict

MAX_ERROR_RATIO: Mapping[str, float] = {
    "straight": 1.03,
    "congestion": 1.06,
    "growing noise": 1.06,
    "mis-keyed": 1.05,
    "many small products": 1.02,
    "the same, judged evenly": 1.02,
    "bimodal, 60 % at once": 1.03,
    "bimodal, 30 % a day late": 1.02,
    "rounded": 1.8,
}
MIN_COVERAGE = 0.88
MAX_COVERAGE = 0.92
MAX_MIS_KEYED_COVERAGE = 0.95
WITHOUT_COVERAGE_GOAL = "the same, judged evenly"
"""Intervals hold for orders like those of the training week, not for other shares of products."""
MIN_PRODUCT_COVERAGE = 0.85


class Evaluation(NamedTuple):
    """A published model on the fresh week.

    Attributes:
        ratio: its mean absolute error in units of that of the best possible estimates.
        coverage: share of the rows inside their prediction interval.
        product_coverage: the same for each product with 100 training rows or more, by code.
    """

    ratio: float
    coverage: float
    product_coverage: Mapping[str, float]


class SeedResult(NamedTuple):
    """What came of one seed of a world.

    Attributes:
        seed: of the world.
        seconds: that the training stage took, in a process that had imported everything.
        refusal: what the stage said if it published nothing, else the empty string.
        evaluation: of the published model.
        least_squares_ratio: as `Evaluation.ratio`, for a line per product by least squares.
    """

    seed: int
    seconds: float
    refusal: str
    evaluation: Evaluation | None
    least_squares_ratio: float


class TreeResult(NamedTuple):
    """The decision tree on one seed of a world.

    Attributes:
        seed: of the world.
        seconds: that the grid search took on one processor.
        ratio: as `Evaluation.ratio`.
    """

    seed: int
    seconds: float
    ratio: float


class Summary(NamedTuple):
    """One world over all seeds; None where nothing could be measured.

    Attributes:
        world: its name.
        seeds: how many there were.
        refused: how many trainings published nothing.
        ratio: mean of `Evaluation.ratio`.
        worst_ratio: its largest value.
        coverage: mean of `Evaluation.coverage`.
        min_product_coverage: lowest mean coverage of any product.
        tree_ratio: mean of `TreeResult.ratio`.
        least_squares_ratio: mean of `SeedResult.least_squares_ratio`.
    """

    world: str
    seeds: int
    refused: int
    ratio: float | None
    worst_ratio: float | None
    coverage: float | None
    min_product_coverage: float | None
    tree_ratio: float | None
    least_squares_ratio: float

    def goals(self) -> dict[str, bool | None]:
        """Tell for each goal whether it was met; without any published model none is.

        None for the coverage of products if no product has enough training rows, and for coverage
        where the fresh week is unlike the training week.
        """
        if self.ratio is None or self.coverage is None:
            return dict.fromkeys(["ratio", "coverage", "product coverage"], False)
        of_products = self.min_product_coverage
        return {
            "ratio": self.ratio <= MAX_ERROR_RATIO[self.world],
            "coverage": (
                None
                if self.world == WITHOUT_COVERAGE_GOAL
                else MIN_COVERAGE <= self.coverage <= max_coverage(self.world)
            ),
            "product coverage": (
                None if of_products is None else of_products >= MIN_PRODUCT_COVERAGE
            ),
        }


def max_coverage(world: str) -> float:
    """Return the largest coverage that a world's intervals should have."""
    return MAX_MIS_KEYED_COVERAGE if world == "mis-keyed" else MAX_COVERAGE


def summarise(world: str, results: Sequence[SeedResult], trees: Sequence[TreeResult]) -> Summary:
    """Take the means over the seeds of a world."""
    evaluations = [result.evaluation for result in results if result.evaluation is not None]
    ratios = [evaluation.ratio for evaluation in evaluations]
    by_product = pd.DataFrame([evaluation.product_coverage for evaluation in evaluations]).mean()
    return Summary(
        world=world,
        seeds=len(results),
        refused=len(results) - len(evaluations),
        ratio=_mean(ratios),
        worst_ratio=max(ratios, default=None),
        coverage=_mean([evaluation.coverage for evaluation in evaluations]),
        min_product_coverage=float(by_product.min()) if len(by_product) else None,
        tree_ratio=_mean([tree.ratio for tree in trees]),
        least_squares_ratio=float(np.mean([result.least_squares_ratio for result in results])),
    )


def print_summaries(summaries: Sequence[Summary]) -> None:
    """Print the table: errors in units of the best possible, coverage of the 90 % intervals."""
    header = ["world", "refused", "error", "worst", "goal", "", "coverage", "goal", ""]
    header += ["lowest product", "goal", "", "tree", "least squares"]
    print_table(
        "Mean absolute error in units of the best possible, and coverage of the intervals",
        header,
        [_cells(summary) for summary in summaries],
    )


def _cells(summary: Summary) -> list[str]:
    goals = {name: verdict(met) for name, met in summary.goals().items()}
    return [
        summary.world,
        f"{summary.refused}/{summary.seeds}",
        number(summary.ratio, ".3f"),
        number(summary.worst_ratio, ".3f"),
        f"<= {MAX_ERROR_RATIO[summary.world]:g}",
        goals["ratio"],
        number(summary.coverage, ".1%"),
        f"{MIN_COVERAGE:.0%} to {max_coverage(summary.world):.0%}",
        goals["coverage"],
        number(summary.min_product_coverage, ".1%"),
        UNKNOWN if summary.min_product_coverage is None else f">= {MIN_PRODUCT_COVERAGE:.0%}",
        goals["product coverage"],
        number(summary.tree_ratio, ".3f"),
        number(summary.least_squares_ratio, ".3f"),
    ]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None

"""What the service should reach, and whether it does."""

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.measuring.result_tables import UNKNOWN, verdict
from benchmarks.serving.batch_predictions import Batch
from benchmarks.serving.service_costs import FOLDER, MANY, S3
from benchmarks.serving.targets import MANY_PRODUCTS, V1, V2, with_products
from benchmarks.serving.world import COLUMNS, ROWS


class Goal(NamedTuple):
    """A bound on a number.

    Attributes:
        bound: that it may just reach.
        is_minimum: whether the number should be at least the bound, or else at most.
        form: how to write the bound.
    """

    bound: float
    is_minimum: bool
    form: str = ",.0f"

    def __str__(self) -> str:
        """Return the goal as the tables show it."""
        return f"{'>=' if self.is_minimum else '<='} {self.bound:{self.form}}"

    def is_met(self, value: float | None) -> bool:
        """Whether a number reaches the goal; one that could not be measured does not."""
        if value is None:
            return False
        return value >= self.bound if self.is_minimum else value <= self.bound


OURS = [V1, V2, *(with_products(version, n) for n in MANY_PRODUCTS for version in (V1, V2))]
MIN_RATE_OF_CEILING: Mapping[str, Goal] = dict.fromkeys(OURS, Goal(0.60, True, ".2f"))
"""By target: requests each second, in units of the ceiling's."""
MIN_RATE_OF_PLAIN: Mapping[str, Goal] = {V1: Goal(8, True)}
"""By target: requests each second, in units of the plain handler's."""
MAX_P99_OF_CEILING: Mapping[str, Goal] = dict.fromkeys(OURS, Goal(1.5, False, ".1f"))
"""By target: p99 of the time to an answer, in units of the ceiling's."""
MIN_BATCH_RATE: Mapping[Batch, Goal] = {
    Batch(ROWS, 1_000): Goal(400_000, True),
    Batch(COLUMNS, 1_000): Goal(800_000, True),
}
"""By kind of batch: predictions for each second of processor time."""
MAX_P99_BESIDE_MS = Goal(5, False)
"""p99 of single predictions beside a client that sends batches without pause."""
MAX_START_SECONDS: Mapping[str, Goal] = {
    FOLDER: Goal(0.7, False, ".1f"),
    S3: Goal(1.0, False, ".1f"),
    MANY: Goal(5.0, False, ".1f"),
}
"""By kind of store: from the start of the process to the first answer."""
MAX_MEMORY_MIB: Mapping[str, Goal] = {
    FOLDER: Goal(85, False),
    S3: Goal(125, False),
    MANY: Goal(250, False),
}
"""By kind of store: resident memory after 100,000 requests."""
MAX_GROWTH_MIB = Goal(1.0, False, ".0f")
"""Growth of that over the next 1,000,000: none, but for what the allocator shifts around."""


def goal_met(goal: Goal | None, value: float | None) -> bool | None:
    """Tell whether a goal is met; None if there is none."""
    return None if goal is None else goal.is_met(value)


def goal_cells(goal: Goal | None, value: float | None) -> list[str]:
    """Return two cells of a table: a goal, and whether it is met."""
    return [UNKNOWN if goal is None else str(goal), verdict(goal_met(goal, value))]

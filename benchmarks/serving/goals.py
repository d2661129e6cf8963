"""What the service should reach, and whether it does."""

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.measuring.result_tables import UNKNOWN, verdict
from benchmarks.serving.service_costs import FOLDER, S3
from benchmarks.serving.targets import V1, V2


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


MIN_RATE_OF_CEILING: Mapping[str, Goal] = {V1: Goal(0.60, True, ".2f"), V2: Goal(0.45, True, ".2f")}
"""By target: requests each second, in units of the ceiling's."""
MIN_RATE_OF_PLAIN: Mapping[str, Goal] = {V1: Goal(8, True)}
"""By target: requests each second, in units of the plain handler's."""
MAX_P99_OF_CEILING: Mapping[str, Goal] = {V1: Goal(3, False)}
"""By target: p99 of the time to an answer, in units of the ceiling's."""
MIN_BATCH_RATE: Mapping[int, Goal] = {1_000: Goal(200_000, True)}
"""By orders in a batch: predictions each second on one core."""
MAX_START_SECONDS: Mapping[str, Goal] = {
    FOLDER: Goal(1.0, False, ".1f"),
    S3: Goal(1.3, False, ".1f"),
}
"""By kind of store: from the start of the process to the first answer."""
MAX_MEMORY_MIB: Mapping[str, Goal] = {FOLDER: Goal(110, False), S3: Goal(125, False)}
"""By kind of store: resident memory after 100,000 requests."""
MAX_GROWTH_MIB = Goal(1.0, False, ".0f")
"""Growth of that over the next 1,000,000: none, but for what the allocator shifts around."""


def goal_met(goal: Goal | None, value: float | None) -> bool | None:
    """Tell whether a goal is met; None if there is none."""
    return None if goal is None else goal.is_met(value)


def goal_cells(goal: Goal | None, value: float | None) -> list[str]:
    """Return two cells of a table: a goal, and whether it is met."""
    return [UNKNOWN if goal is None else str(goal), verdict(goal_met(goal, value))]

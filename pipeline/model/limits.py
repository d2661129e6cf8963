"""Which numbers and times the facts about a model may hold: what is computed with them is finite.

A number outside is a fault of the artifact, and found when it is read: served, it would become a
bound that is null, or an answer that fails.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, Field

MAX_AMOUNT = 1e12
"""Far above all that is measured; the product of a few such numbers is still finite."""

MAX_EARLIER_WEEKS = 1_000
"""Weeks whose curves are kept: twenty years of them."""

Count = Annotated[int, Field(ge=0, le=int(MAX_AMOUNT))]
Amount = Annotated[float, Field(ge=0, le=MAX_AMOUNT)]
"""Hours, shares of hours, or multiples, where a negative one would make no sense."""
Factor = Annotated[float, Field(gt=0, le=MAX_AMOUNT)]
"""Something is divided by it."""
Share = Annotated[float, Field(ge=0, le=1)]
Moment = Annotated[
    AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC))
]
"""A time with its zone, which may be moved by some weeks or to another zone."""

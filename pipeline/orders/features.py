"""What a regressor is given of orders: their features, and never their label."""

from math import nan

import pandas as pd

from pipeline.model.order import FEATURES, OPTIONAL


def features_of(orders: pd.DataFrame) -> pd.DataFrame:
    """Return the columns `FEATURES` of orders; optional ones that they do not have are NaN."""
    missing = {name: nan for name in OPTIONAL if name not in orders}
    return (orders.assign(**missing) if missing else orders)[FEATURES]

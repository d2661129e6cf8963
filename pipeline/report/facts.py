"""What the training report is made of."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.model.arrays import Floats
from pipeline.model.metadata import ModelMetadata
from pipeline.training.evaluation import GridEstimates


@dataclass(frozen=True)
class ReportFacts:
    """Everything that the report tells.

    Attributes:
        version: name of the model, such as `time_to_dispatch_2026-…_<hash>`.
        metadata: of the model.
        orders: the valid rows of the week.
        is_outlier: whether each of them is an outlier, shape (n_rows,).
        rejected: the bad rows: text columns and `reason`; may be empty.
        grid: estimates of the model.
        champion_hours: estimates of the champion on the same grid, NaN for products that it does
            not know; None without champion.
        test: the test rows, with the columns of `orders`, outliers removed.
        test_estimates: hours for those rows, by the fit on the training rows, shape (n_test_rows,).
    """

    version: str
    metadata: ModelMetadata
    orders: pd.DataFrame
    is_outlier: npt.NDArray[np.bool_]
    rejected: pd.DataFrame
    grid: GridEstimates
    champion_hours: Floats | None
    test: pd.DataFrame
    test_estimates: Floats

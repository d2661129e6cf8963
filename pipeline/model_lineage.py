"""Where a model comes from and what it is: the facts that travel inside its artifact."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

FORMAT_VERSION = 1
"""Version of the artifact's format; a reader refuses what is newer than itself."""


class LineageModel(BaseModel):
    """Facts do not change, and a reader ignores those that a newer writer added."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class DatasetLineage(LineageModel):
    """The weekly dataset that a model was trained on.

    Attributes:
        key: where it is in the store.
        sha256: hash of the file, in hex digits.
        delivered_at: the time in its name, taken as UTC.
        rows: valid rows.
        rejected_rows: bad rows, which were set aside.
    """

    key: str
    sha256: str
    delivered_at: datetime
    rows: int
    rejected_rows: int


class Metrics(LineageModel):
    """How good a model is on rows that it was not fitted on.

    Attributes:
        r_squared: share of the variance of the hours that the model explains; None where it is
            not defined, because all hours are the same.
        mean_absolute_error_hours: mean distance between estimate and truth, in hours.
        train_rows: number of rows that the judged model was fitted on; what is published is
            fitted on all rows.
        test_rows: number of rows that it was judged on.
    """

    r_squared: float | None
    mean_absolute_error_hours: float
    train_rows: int
    test_rows: int


class ProductCatalogue(LineageModel):
    """The products that a model knows, as columns of equal length, sorted by code.

    Attributes:
        product_code: the codes.
        rows: rows of each product in the dataset.
        least_orders: fewest orders placed seen with each product.
        most_orders: most orders placed seen with each product.
    """

    product_code: tuple[str, ...] = Field(min_length=1)
    rows: tuple[int, ...]
    least_orders: tuple[float, ...]
    most_orders: tuple[float, ...]


class ProductRemarks(LineageModel):
    """Products whose curve deserves a second look, by code.

    Attributes:
        borrowed_slope: too few rows, or all at one order count; the curve has the slope that all
            products have in common.
        clipped_slope: hours fell as orders rose; the slope was set to zero.
        flat: the estimate is the same for every number of orders seen.
    """

    borrowed_slope: tuple[str, ...]
    clipped_slope: tuple[str, ...]
    flat: tuple[str, ...]


class Histogram(LineageModel):
    """How often values fell between neighbouring edges; one more edge than counts."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class Lineage(LineageModel):
    """All facts about one model.

    Attributes:
        format_version: version of the artifact's format.
        trained_at: start of the training run, UTC, to the microsecond; stands in the name too.
        git_commit: the commit of the code, if the run knew it (`GIT_COMMIT_HASH`).
        library_versions: of the libraries that made the model.
        regressor: name of the estimator's class.
        dataset: what it was trained on.
        metrics: how good it is.
        catalogue: which products it knows.
        remarks: which products deserve a second look.
        orders_placed: how the numbers of orders placed were distributed.
        refused_because: the rules that it broke; empty for a published model.
    """

    format_version: int = FORMAT_VERSION
    trained_at: datetime
    git_commit: str | None
    library_versions: Mapping[str, str]
    regressor: str
    dataset: DatasetLineage
    metrics: Metrics
    catalogue: ProductCatalogue
    remarks: ProductRemarks
    orders_placed: Histogram
    refused_because: tuple[str, ...] = ()

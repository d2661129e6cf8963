"""Where a model comes from and what it is: the facts that travel inside its artifact."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from pipeline.model.arrays import Floats

FORMAT_VERSION = 2
"""Version of the artifact's format; a reader knows this one and no other."""


class MetadataModel(BaseModel):
    """Facts do not change, and a reader ignores those that a newer writer added."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class DatasetLineage(MetadataModel):
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


class CandidateScore(MetadataModel):
    """How one candidate did in the cross-validation that chose among them.

    Attributes:
        name: of the candidate.
        mean_absolute_error_hours: over rows that each fit had not seen.
        excess_hours: by how much that is more than the error of the best candidate.
        standard_error_hours: of the excess; zero for the best candidate.
        chosen: whether the model is of this kind: the simplest one within a standard error.
    """

    name: str
    mean_absolute_error_hours: float
    excess_hours: float
    standard_error_hours: float
    chosen: bool


class Metrics(MetadataModel):
    """How good a model is on rows that it was not fitted on, outliers apart.

    Attributes:
        r_squared: share of the variance of the hours that the model explains; None where it is
            not defined, because all hours are the same.
        mean_absolute_error_hours: mean distance between estimate and truth, in hours.
        noise_floor_hours: that distance if the model were perfect and only the noise of the
            labels remained, in hours.
        train_rows: number of rows that the tested model was fitted on; what is published is
            fitted on all rows.
        test_rows: number of rows that it was tested on.
    """

    r_squared: float | None
    mean_absolute_error_hours: float
    noise_floor_hours: float
    train_rows: int
    test_rows: int


class PredictionInterval(MetadataModel):
    """How far from an estimate the truth may be.

    The half-width for an estimate of a product is, in hours,
    multiple · relative noise of the product · (noise_base_hours + noise_growth · estimate).

    Attributes:
        level: share of orders that fall inside, such as 0.9.
        multiple: half-width in units of the noise.
        noise_base_hours: noise (a standard deviation) where the estimate is zero.
        noise_growth: by how many hours the noise grows with each hour of the estimate.
        calibration_rows: number of rows that the level was calibrated on.
    """

    level: float
    multiple: float
    noise_base_hours: float
    noise_growth: float
    calibration_rows: int

    def half_width(self, estimates: Floats, relative_noise: Floats) -> Floats:
        """Return how far the interval reaches to either side, in hours.

        Args:
            estimates: hours to dispatch, of any shape.
            relative_noise: of the product of each estimate, of the same shape.
        """
        noise = self.noise_base_hours + self.noise_growth * estimates
        return self.multiple * relative_noise * noise


class Outlier(MetadataModel):
    """A row whose label is far from what the model says.

    Attributes:
        product_code: its product.
        orders_placed: its orders placed.
        hours_to_dispatch: its label, in hours.
        est_hours_to_dispatch: what the model says, in hours.
        distance: between the two, in robust standard deviations; negative below the estimate.
    """

    product_code: str
    orders_placed: float
    hours_to_dispatch: float
    est_hours_to_dispatch: float
    distance: float


class Outliers(MetadataModel):
    """Rows farther than six robust standard deviations from the model.

    Attributes:
        rows: how many there are.
        share: of all rows.
        farthest: the farthest of them, at most 100, by falling distance.
    """

    rows: int
    share: float
    farthest: tuple[Outlier, ...]


class ProductCatalogue(MetadataModel):
    """The products that a model knows, as columns of equal length, sorted by code.

    Attributes:
        product_code: the codes.
        rows: rows of each product in the dataset.
        least_orders: fewest orders placed seen with each product.
        most_orders: most orders placed seen with each product.
        relative_noise: noise of each product relative to that of all products.
    """

    product_code: tuple[str, ...] = Field(min_length=1)
    rows: tuple[int, ...]
    least_orders: tuple[float, ...]
    most_orders: tuple[float, ...]
    relative_noise: tuple[float, ...]


class ProductRemarks(MetadataModel):
    """Products whose curve deserves a second look, by code.

    Attributes:
        few_rows: fewer than five rows, or all at one order count; the curve leans on those of
            the other products.
        falling: hours fell as orders rose; the estimate is the same for every number of orders.
        flat: the estimate is the same for every number of orders, those that fall included.
    """

    few_rows: tuple[str, ...]
    falling: tuple[str, ...]
    flat: tuple[str, ...]


class Histogram(MetadataModel):
    """How often values fell between neighbouring edges; one more edge than counts."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class ProductShift(MetadataModel):
    """How much a product's estimates moved since the champion.

    Attributes:
        product_code: the product.
        ratio: median of challenger's to champion's estimate over a grid of order counts.
        rows: of the product in this week's dataset.
    """

    product_code: str
    ratio: float
    rows: int


class ChampionComparison(MetadataModel):
    """The new model (the challenger) beside the one in production (the champion).

    Attributes:
        champion_version: name of the champion's artifact.
        same_dataset: whether both were trained on the same file, so that the champion's error is
            the one that it recorded then.
        compared_rows: number of test rows whose product the champion knows, outliers apart; zero
            means that nothing could be compared.
        champion_error_hours: mean absolute error of the champion on them; None without rows.
        challenger_error_hours: mean absolute error of the challenger on them, fitted on the
            training rows; None without rows.
        least_excess_hours: challenger's error minus champion's, at the lower end of a one-sided
            99 % bootstrap interval: above zero means worse by more than chance; None without rows.
        champion_recorded_error_hours: mean absolute error that the champion had in its own week.
        shifted_share: share of this week's rows whose product's ratio is outside what
            `--max-shift` allows.
        median_ratio: median of the ratios of all products that could be compared, or None.
        shifts: the products that moved most, at most 100.
    """

    champion_version: str
    same_dataset: bool
    compared_rows: int
    champion_error_hours: float | None
    challenger_error_hours: float | None
    least_excess_hours: float | None
    champion_recorded_error_hours: float
    shifted_share: float
    median_ratio: float | None
    shifts: tuple[ProductShift, ...]


class DriftMeasure(MetadataModel):
    """One number that tells how this week differs from the champion's.

    Attributes:
        name: what is measured, in words.
        value: its value; None where it could not be measured.
        least: smallest value that is fine, or None.
        most: largest value that is fine, or None.
        breached: whether the value is outside.
    """

    name: str
    value: float | None
    least: float | None
    most: float | None
    breached: bool


class ModelMetadata(MetadataModel):
    """All facts about one model.

    Attributes:
        format_version: version of the artifact's format.
        trained_at: start of the training run, UTC, to the microsecond; stands in the name too.
        git_commit: the commit of the code, if the run knew it (`GIT_COMMIT_HASH`).
        library_versions: of the libraries that made the model.
        regressor: name of the chosen candidate.
        candidates: how each candidate did, from the simplest to the most flexible.
        dataset: what it was trained on.
        metrics: how good it is.
        interval: how far from its estimates the truth may be.
        outliers: rows that are too far from it to count in its errors.
        catalogue: which products it knows.
        remarks: which products deserve a second look.
        orders_placed: how the numbers of orders placed were distributed.
        comparison: with the champion; None if there was none, or it was ignored.
        drift: how this week differs from the champion's; empty without champion.
        refused_because: the rules that it broke; empty for a published model.
    """

    format_version: int = FORMAT_VERSION
    trained_at: datetime
    git_commit: str | None
    library_versions: Mapping[str, str]
    regressor: str
    candidates: tuple[CandidateScore, ...]
    dataset: DatasetLineage
    metrics: Metrics
    interval: PredictionInterval
    outliers: Outliers
    catalogue: ProductCatalogue
    remarks: ProductRemarks
    orders_placed: Histogram
    comparison: ChampionComparison | None = None
    drift: tuple[DriftMeasure, ...] = ()
    refused_because: tuple[str, ...] = ()

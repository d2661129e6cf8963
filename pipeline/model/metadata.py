"""Where a model comes from and what it is: the facts that travel inside its artifact."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from pipeline.model.arrays import Floats
from pipeline.model.catalogue import ProductCatalogue
from pipeline.model.limits import MAX_EARLIER_WEEKS, Amount, Count, Factor, Moment, Share

FORMAT_VERSION = 3
"""Version of the artifact's format, which is written."""
READABLE_FORMATS = (2, 3)
"""Those that a reader knows: before the third, the catalogue was part of the metadata's JSON."""
SHARE_DECIMALS = 6
Estimate = Literal["typical", "mean"]
"""What a model estimates: hours that half of the orders take less than, or their mean."""


class MetadataModel(BaseModel):
    """Facts do not change; numbers are finite. A reader ignores what a newer writer added."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


def _filled_in(facts: Any, old: str, *new: str) -> Any:
    """Return facts in which the fields that took the place of an old one have its value."""
    if not isinstance(facts, Mapping) or old not in facts:
        return facts
    return {**dict.fromkeys(new, facts[old]), **facts}


class RepeatedRows(MetadataModel):
    """Rows that are exactly like an earlier one of the dataset."""

    share: Share = Field(description="their share of the valid rows")
    by_chance: Amount = Field(description="largest such share that rounded labels make by chance")
    copies: Count = Field(
        description="how many times the whole week is there; 1 is as it should be"
    )
    breached: bool = Field(
        description="whether rows seem to have been delivered several times; equal rows are then "
        "kept together, so that no fit is tested on rows that it has seen"
    )


class DatasetLineage(MetadataModel):
    """The weekly dataset that a model was trained on."""

    key: str = Field(description="where it is in the store")
    sha256: str = Field(description="hash of the file, in hex digits")
    rows_sha256: str | None = Field(
        default=None,
        description="hash of the valid rows in any order, in hex digits; null in older artifacts",
    )
    delivered_at: Moment = Field(description="the time in its name, taken as UTC")
    rows: Count = Field(description="valid rows")
    rejected_rows: Count = Field(description="bad rows, which were set aside")
    step_hours: Amount | None = Field(
        default=None,
        description="the hours of nearly all rows are whole numbers of such steps apart, as where "
        "whole days are written down; null if the steps are small beside the noise",
    )
    repeated: RepeatedRows | None = Field(
        default=None,
        description="rows that repeat others; null in models of before it was measured",
    )


class PastSources(NamedTuple):
    """Which earlier weeks a model may have learnt from.

    Attributes:
        asked: how many weeks were asked for.
        hashes: of the datasets, by how many datasets ago they were delivered.
    """

    asked: int
    hashes: Mapping[int, str]


class PastDataset(MetadataModel):
    """The dataset of an earlier week, which the model may have learnt from."""

    key: str = Field(description="where it is in the store")
    sha256: str = Field(description="hash of the file, in hex digits")
    delivered_at: Moment = Field(description="the time in its name, taken as UTC")
    rows: Count = Field(description="valid rows")
    age: Count = Field(description="how many datasets before the model's own it was delivered")
    weight: Amount = Field(
        description="how much each of its rows counts beside one of the model's own dataset; 0 if "
        "it only showed how well later weeks would have been known"
    )


class DecayScore(MetadataModel):
    """How well the following week was known from weeks with some weights."""

    decay: Share = Field(
        description="how much each week counts beside the next; 0 stands for one week alone"
    )
    mean_absolute_error_hours: Amount = Field(
        description="mean absolute error in the following week, in hours"
    )
    excess_hours: float = Field(
        description="by how many hours that is more than the error of the best decay"
    )
    standard_error_hours: Amount = Field(
        description="standard error of the excess, in hours; rows of one product in one week count "
        "together"
    )
    chosen: bool = Field(
        description="whether it is the best, or one week that is as good within a standard error"
    )


class ForwardWeek(MetadataModel):
    """How well a week was known beforehand: its orders, estimated from the weeks before it."""

    delivered_at: Moment = Field(description="the time in the name of its dataset")
    rows: Count = Field(description="rows of products that the week before had, too")
    error_hours: Amount = Field(
        description="mean absolute error of what is learnt from earlier weeks as the model does"
    )
    one_week_error_hours: Amount = Field(
        description="the same, of what is learnt from the week before alone"
    )
    coverage: Share = Field(
        description="share of the rows that were as near to these estimates as the intervals of "
        "the model reach"
    )


class SeveralWeeks(MetadataModel):
    """What a model learnt from earlier weeks, and why."""

    asked: Count = Field(description="how many weeks it was allowed, its own among them (--weeks)")
    decay: Share = Field(
        description="how much each week counts beside the next; 0 if it learnt from its own alone"
    )
    datasets: tuple[PastDataset, ...] = Field(description="the earlier ones, the newest first")
    scores: tuple[DecayScore, ...] = Field(
        description="validation forward in time; empty if there were too few weeks for that"
    )
    hurts_this_week: bool = Field(
        description="whether earlier weeks would have helped before, but made the error in the "
        "model's own week larger by more than a standard error, so that they were left out"
    )
    by_week: tuple[ForwardWeek, ...] = Field(
        description="how well each week was known beforehand, the oldest first"
    )

    @property
    def sources(self) -> PastSources:
        """What it depended on."""
        hashes = {dataset.age: dataset.sha256 for dataset in self.datasets}
        return PastSources(self.asked, hashes)

    @property
    def trained_on(self) -> int:
        """How many weeks the model learnt from."""
        return 1 + sum(dataset.weight > 0 for dataset in self.datasets)


class CandidateScore(MetadataModel):
    """How one candidate did in the cross-validation that chose among them."""

    name: str = Field(description="name of the candidate")
    mean_absolute_error_hours: Amount = Field(
        description="mean absolute error over rows that each fit had not seen, in hours"
    )
    excess_hours: float = Field(
        description="by how many hours that is more than the error of the best candidate"
    )
    standard_error_hours: Amount = Field(
        description="standard error of the excess, in hours; zero for the best candidate"
    )
    chosen: bool = Field(
        description="whether the model is of this kind: the simplest one within a standard error "
        "that breaks no rule"
    )
    passed_over_for: tuple[str, ...] = Field(
        default=(), description="the rules that it broke, so that the next one was taken"
    )


class Metrics(MetadataModel):
    """How good a model is on rows that it was not fitted on, outliers apart."""

    r_squared: float | None = Field(
        description="share of the variance of the hours that the model explains; null where it is "
        "not defined, because all hours are the same"
    )
    mean_absolute_error_hours: Amount = Field(
        description="mean distance between estimate and truth, in hours"
    )
    noise_floor_hours: Amount = Field(
        description="that mean distance if the model were perfect and only the noise of the "
        "labels remained, in hours"
    )
    train_rows: Count = Field(
        description="number of rows that the tested model was fitted on; what is published is "
        "fitted on all rows"
    )
    test_rows: Count = Field(description="number of rows that it was tested on")
    r_squared_with_outliers: float | None = Field(
        default=None, description="R² on all test rows, outliers included; null as above"
    )
    mean_absolute_error_with_outliers_hours: Amount | None = Field(
        default=None,
        description="mean absolute error on all test rows, outliers included, in hours; null in "
        "older artifacts",
    )


class Skill(MetadataModel):
    """How much better a model is than the best guess that takes no model."""

    baseline: str = Field(
        description="the guess with the smallest error: mean or median, of each product or of all"
    )
    baseline_error_hours: Amount = Field(
        description="its mean absolute error on all test rows, in hours; where the model estimates "
        "the mean, the root mean square of the errors on all but mis-keyed rows"
    )
    error_hours: Amount = Field(description="that of the model on the same rows, in hours")
    least_gain_hours: float = Field(
        description="the first minus the second at the lower end of a one-sided 99 % bootstrap "
        "interval: above zero means better by more than chance"
    )
    rows: Count = Field(description="number of these rows")


class PredictionInterval(MetadataModel):
    """How far from an estimate the truth may be.

    Below an estimate of a product the interval reaches so many hours:
    lower_multiple · relative_lower_noise of the product ·
    (noise_base_hours + noise_growth · estimate), and above it as many with upper instead of lower.
    """

    level: Share = Field(
        description="share of orders that fall inside, such as 0.9; as many are below as above"
    )
    multiple: Amount = Field(
        description="the larger of the two multiples; in older artifacts the only one"
    )
    lower_multiple: Amount = Field(
        description="how far it reaches below the estimate, in units of the noise"
    )
    upper_multiple: Amount = Field(
        description="how far it reaches above the estimate, in units of the noise"
    )
    noise_base_hours: Amount = Field(
        description="noise (a standard deviation) where the estimate is zero"
    )
    noise_growth: Amount = Field(
        description="by how many hours the noise grows with each hour of the estimate"
    )
    calibration_rows: Count = Field(description="number of rows that the level was calibrated on")
    movement: Amount = Field(
        default=0.0,
        description="by which share of itself an estimate may be off in the week after, up or "
        "down; the reach is the root of the sum of squares of this and what the noise asks for",
    )
    weeks_after: Count = Field(
        default=0,
        description="number of weeks that the movement is from; 0: there was none yet, and the "
        "level is that of the model's own week",
    )

    @property
    def share_within(self) -> float:
        """Share of orders below the upper bound: those inside, and half of the others."""
        return round((1 + self.level) / 2, SHARE_DECIMALS)

    def reach(self, estimates: Floats, relative_noise: Floats) -> Floats:
        """Return how far the interval reaches below and above, in hours, shape (2, n).

        It is √(r² + (m · ŷ)²), for the reach r that the noise asks for, and the movement m.

        Args:
            estimates: hours to dispatch ŷ, shape (n,).
            relative_noise: of the product of each estimate, below and above, shape (2, n).
        """
        noise = (self.noise_base_hours + self.noise_growth * estimates) * relative_noise
        reach: Floats = np.hypot(self.multiples * noise, self.movement * estimates)
        return reach

    @property
    def multiples(self) -> Floats:
        """How far it reaches below and above, in units of the noise, shape (2, 1)."""
        return np.array([[self.lower_multiple], [self.upper_multiple]])

    @model_validator(mode="before")
    @classmethod
    def _as_far_below_as_above(cls, facts: Any) -> Any:
        """Give the intervals of artifacts from before there were two multiples the same reach."""
        return _filled_in(facts, "multiple", "lower_multiple", "upper_multiple")


class Outlier(MetadataModel):
    """A row whose label is far from what the model says."""

    product_code: str = Field(description="code of its product")
    orders_placed: float = Field(description="its orders placed")
    hours_to_dispatch: float = Field(description="its label, in hours")
    est_hours_to_dispatch: float = Field(description="what the model says, in hours")
    distance: float = Field(
        description="between label and estimate, in robust standard deviations; negative below "
        "the estimate"
    )


class Outliers(MetadataModel):
    """Rows farther than six robust standard deviations from the model."""

    rows: Count = Field(description="how many there are")
    share: Share = Field(description="their share of all rows")
    farthest: tuple[Outlier, ...] = Field(
        description="the farthest of them, at most 100, by falling distance"
    )


class EarlierWeek(MetadataModel):
    """A week whose curves are kept for products that have had no orders since."""

    delivered_at: Moment = Field(description="the time in the name of its dataset")
    kept_until: Moment = Field(
        description="when they will have been kept for as many weeks as --keep-weeks says"
    )
    interval: PredictionInterval = Field(description="of the estimates for these products")
    product_code: tuple[str, ...] = Field(description="codes of the products")


class DroppedProducts(MetadataModel):
    """Products that the champion knew, and that the model does not know."""

    reason: str = Field(description="why, as the end of a sentence")
    product_code: tuple[str, ...] = Field(description="their codes")


class MixedProduct(MetadataModel):
    """A product with orders of two kinds, which no curve of orders placed fits both."""

    product_code: str = Field(description="its code")
    rows: Count = Field(description="its rows")
    share: Share = Field(description="share of these that are at the label, or at the distance")
    label_hours: float | None = Field(
        default=None, description="label that they have in common, far from the others; or null"
    )
    distance_hours: float | None = Field(
        default=None,
        description="how far they are from the estimates, in the median, negative below; null if "
        "they have a label in common",
    )

    @property
    def in_words(self) -> str:
        """Which part of its orders is of another kind, as the end of a sentence about it."""
        part = f"{self.share:.0%} of its {self.rows:,} rows"
        if self.label_hours is not None:
            return f"{part} are at {self.label_hours:g} h"
        distance = self.distance_hours or 0.0
        side = "above" if distance > 0 else "below"
        return f"{part} are about {abs(distance):.3g} h {side} the estimates"


class ProductInSteps(MetadataModel):
    """A product whose hours come in steps of its own."""

    product_code: str = Field(description="its code")
    step_hours: Factor = Field(description="the step, in hours")


DOUBTS = ("unfit", "mixed", "unskilled", "biased", "surprising", "swapped")
"""The remarks after which the estimates of a product are not to be trusted."""
REMARKS = (*DOUBTS, "few_rows", "falling", "flat", "retired", "wide", "noisy", "held_back")
"""All remarks that are lists of products."""


class ProductRemarks(MetadataModel):
    """Products whose curve deserves a second look, by code."""

    few_rows: tuple[str, ...] = Field(
        description="fewer than five rows, or all at one order count; the curve leans on those of "
        "the other products"
    )
    falling: tuple[str, ...] = Field(
        description="hours fell as orders rose; the estimate is the same for every number of orders"
    )
    flat: tuple[str, ...] = Field(
        description="the estimate is the same for every number of orders, those that fall included"
    )
    retired: tuple[str, ...] = Field(
        default=(), description="people retired them, and yet there are orders of them"
    )
    wide: tuple[str, ...] = Field(
        default=(),
        description="fewer orders than promised were inside the interval of all products, so it "
        "was widened to hold them",
    )
    noisy: tuple[str, ...] = Field(
        default=(),
        description="the hours are spread at least four times as far around the estimates as those "
        "of the typical product, and the interval is as wide",
    )
    unfit: tuple[str, ...] = Field(
        default=(),
        description="more of the orders are outliers than --max-outlier-share allows, so the "
        "estimates are far off for them",
    )
    unskilled: tuple[str, ...] = Field(
        default=(),
        description="on rows that the fits had not seen, the error is more than 1.25 times that of "
        "the product's mean or median, by more than chance",
    )
    biased: tuple[str, ...] = Field(
        default=(),
        description="on rows that the fits had not seen, outliers apart, the hours are on average "
        "farther from the estimates than their noise, by more than chance",
    )
    surprising: tuple[str, ...] = Field(
        default=(),
        description="for most of the orders the champion was off by more than twice its noise of "
        "the product and a third of its estimate",
    )
    swapped: tuple[str, ...] = Field(
        default=(),
        description="the product is where another one was in the champion, and the other is where "
        "this one was",
    )
    held_back: tuple[str, ...] = Field(
        default=(),
        description="surprising or swapped, so that the curve of the champion is kept, although "
        "there were orders",
    )
    mixed: tuple[str, ...] = Field(
        default=(),
        description="part of the orders is of another kind than the others; the estimate is for "
        "the kind of which there are more",
    )
    kinds: tuple[MixedProduct, ...] = Field(
        default=(), description="which part that is, of those with orders this week"
    )
    in_steps: tuple[ProductInSteps, ...] = Field(
        default=(),
        description="the hours come in steps that those of all products do not come in",
    )

    @property
    def doubts(self) -> Mapping[str, tuple[str, ...]]:
        """The products whose estimates are not to be trusted, and the remarks that say why."""
        doubts: dict[str, tuple[str, ...]] = {}
        for remark in DOUBTS:
            for code in getattr(self, remark):
                doubts[code] = (*doubts.get(code, ()), remark)
        return doubts


class Histogram(MetadataModel):
    """How often values fell between neighbouring edges; one more edge than counts."""

    edges: tuple[float, ...]
    counts: tuple[Count, ...]

    @model_validator(mode="after")
    def _between_edges(self) -> Self:
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError(
                f"{len(self.edges):,} edges are not those of {len(self.counts):,} counts"
            )
        return self


class ProductShift(MetadataModel):
    """How much a product's estimates moved since the champion."""

    product_code: str = Field(description="the product")
    ratio: Amount = Field(
        description="median of challenger's to champion's estimate over a grid of order counts"
    )
    rows: Count = Field(description="rows of the product in this week's dataset")


class ChampionComparison(MetadataModel):
    """The new model (the challenger) beside the one in production (the champion)."""

    champion_version: str = Field(description="name of the champion's artifact")
    same_dataset: bool = Field(
        description="whether both were trained on the same file, so that the champion's error is "
        "the one that it recorded then"
    )
    compared_rows: Count = Field(
        description="number of test rows whose product the champion knows, outliers apart; zero "
        "means that nothing could be compared"
    )
    champion_error_hours: Amount | None = Field(
        description="mean absolute error of the champion on these rows, in hours; null without rows"
    )
    challenger_error_hours: Amount | None = Field(
        description="mean absolute error of the challenger on these rows, fitted on the training "
        "rows, in hours; null without rows"
    )
    least_excess_hours: float | None = Field(
        description="challenger's error minus champion's, at the lower end of a one-sided 99 % "
        "bootstrap interval: above zero means worse by more than chance; null without "
        "rows"
    )
    champion_recorded_error_hours: Amount = Field(
        description="mean absolute error that the champion had in its own week"
    )
    champion_test_rows: Count | None = Field(
        default=None,
        description="number of rows that it was measured on; null in older artifacts",
    )
    champion_rows: Count | None = Field(
        default=None, description="rows of the champion's week; null in older artifacts"
    )
    challenger_rows: Count | None = Field(
        default=None, description="rows of this week; null in older artifacts"
    )
    most_excess_hours: float | None = Field(
        default=None,
        description="challenger's error minus champion's on all rows that the challenger had not "
        "seen, at the upper end of a one-sided 99 % bootstrap interval; null unless this week has "
        "fewer than half of the champion's rows",
    )
    shifted_share: Share = Field(
        description="share of this week's rows whose product's ratio is outside what --max-shift "
        "allows"
    )
    median_ratio: Amount | None = Field(
        description="median of the ratios of all products that could be compared, or null"
    )
    shifts: tuple[ProductShift, ...] = Field(
        description="the products that moved most, at most 100"
    )


class ProductsApart(MetadataModel):
    """Products with rows in one week that are unknown in another."""

    product_code: tuple[str, ...] = Field(description="their codes, those with the most rows first")
    share: Share = Field(description="their share of the rows of their week")
    by_chance: Amount = Field(
        description="largest such share that chance explains where products have few rows"
    )


class RewrittenCode(MetadataModel):
    """A product code that is a known one but for zeros, case, blanks or punctuation."""

    before: str = Field(description="the code as the champion knows it")
    now: str = Field(description="the code of this week")
    both: bool = Field(description="whether this week has the code of before too")


class CatalogueChange(MetadataModel):
    """How the products of this week differ from those of the champion's."""

    vanished: ProductsApart = Field(description="products of the champion's week that are missing")
    new: ProductsApart = Field(description="products that the champion does not know")
    rewritten: tuple[RewrittenCode, ...] = Field(
        description="new codes that are known ones written in another way"
    )


class WeekAfter(MetadataModel):
    """What a week says of the intervals of the model before it, to which it was new."""

    level: Share = Field(description="of these intervals")
    rows: Count = Field(description="rows of products and order counts that the model had seen")
    products: Amount = Field(
        description="number of equally large products that would say as much as these, "
        "(Σ rows)² / Σ rows²"
    )
    movements: tuple[Amount, ...] = Field(
        description="by which share of its estimate each row is beyond the reach that the noise "
        "asks for: 200 quantiles, evenly spread; zero where it is within"
    )


COVERAGE = "Share of rows inside the intervals of the model in production"
"""Name of a measure of drift, by which it is found again."""


class DriftMeasure(MetadataModel):
    """One number that tells how this week differs from the champion's."""

    name: str = Field(description="what is measured, in words")
    value: float | None = Field(description="its value; null where it could not be measured")
    least: float | None = Field(description="smallest value that is fine, or null")
    most: float | None = Field(description="largest value that is fine, or null")
    breached: bool = Field(description="whether the value is outside")
    refused_below: float | None = Field(
        default=None, description="a week with a smaller value is refused, or null"
    )
    refused_above: float | None = Field(
        default=None, description="a week with a larger value is refused, or null"
    )
    product_code: tuple[str, ...] = Field(
        default=(), description="the products that it is about, if it is about some"
    )

    @property
    def is_refused(self) -> bool:
        """Whether the value is so far outside that the week is refused."""
        if self.value is None:
            return False
        is_below = self.refused_below is not None and self.value < self.refused_below
        return is_below or (self.refused_above is not None and self.value > self.refused_above)


def coverage_among(drift: Sequence[DriftMeasure]) -> float | None:
    """Return the share of a week inside the champion's intervals; None if nobody measured it."""
    return next((one.value for one in drift if one.name == COVERAGE), None)


class Trend(MetadataModel):
    """How far the estimates moved since one of the last models: the one they moved from most."""

    since_version: str = Field(description="name of that model's artifact")
    since: Moment = Field(description="when its dataset was delivered")
    models: Count = Field(description="how many models ago that was; 1 is the champion")
    ratio: Amount = Field(
        description="how many times as high the estimates are: the median over products, which "
        "count with their rows of this week"
    )
    warning_limit: Factor = Field(description="factor of movement that is warned of")
    limit: Factor = Field(
        description="factor of movement that is refused: --max-trend, or more if chance explains it"
    )

    @property
    def breached(self) -> bool:
        """Whether people should be told of it."""
        return not 1 / self.warning_limit <= self.ratio <= self.warning_limit

    @property
    def is_too_far(self) -> bool:
        """Whether the model should be refused."""
        return not 1 / self.limit <= self.ratio <= self.limit


class Failure(MetadataModel):
    """A rule that a model broke."""

    rule: str = Field(description="name of the rule, such as `r_squared`")
    summary: str = Field(
        description="what is wrong, with number and limit, in at most 130 characters"
    )
    value: float | None = Field(default=None, description="the number; null if it is none")
    limit: float | None = Field(default=None, description="its limit; null if there is none")
    details: tuple[str, ...] = Field(
        default=(), description="what else to know, such as products: a sentence or a list each"
    )
    remedy: str | None = Field(
        default=None, description="which option accepts it; null where none should"
    )

    @property
    def explanation(self) -> tuple[str, ...]:
        """All that there is to say beyond the summary."""
        return self.details if self.remedy is None else (*self.details, self.remedy)

    @model_validator(mode="before")
    @classmethod
    def _from_words(cls, failure: Any) -> Any:
        """Take the words that artifacts had in its place before failures had parts."""
        return {"rule": "", "summary": failure} if isinstance(failure, str) else failure


class ModelMetadata(MetadataModel):
    """All facts about one model."""

    format_version: int = Field(
        default=FORMAT_VERSION, description="version of the artifact's format"
    )
    trained_at: Moment = Field(
        description="start of the training run, UTC, to the microsecond; stands in the name too"
    )
    git_commit: str | None = Field(
        description="the commit of the code, if the run knew it (`GIT_COMMIT_HASH`)"
    )
    library_versions: Mapping[str, str] = Field(
        description="versions of the libraries that made the model"
    )
    regressor: str = Field(description="name of the chosen candidate")
    estimate: Estimate = Field(
        default="typical",
        description="what is estimated: typical, the centre of the orders, which half of them take "
        "less than, or mean, what they take on average; typical in older artifacts",
    )
    candidates: tuple[CandidateScore, ...] = Field(
        description="how each candidate did, from the simplest to the most flexible"
    )
    dataset: DatasetLineage = Field(description="what it was trained on")
    several_weeks: SeveralWeeks | None = Field(
        default=None,
        description="what it learnt from earlier weeks; null if only its own was asked for",
    )
    metrics: Metrics = Field(description="how good it is")
    skill: Skill | None = Field(
        default=None,
        description="how much better it is than a guess; null in older artifacts",
    )
    interval: PredictionInterval = Field(description="how far from its estimates the truth may be")
    outliers: Outliers = Field(description="rows that are too far from it to count in its errors")
    catalogue: SkipJsonSchema[ProductCatalogue] = Field(
        exclude=True, description="which products it knows; an artifact carries it beside the JSON"
    )
    earlier_weeks: tuple[EarlierWeek, ...] = Field(
        default=(),
        max_length=MAX_EARLIER_WEEKS,
        description="whose curves products without orders this week keep",
    )
    dropped: tuple[DroppedProducts, ...] = Field(
        default=(), description="products that the champion knew, and this model does not"
    )
    remarks: ProductRemarks = Field(description="which products deserve a second look")
    orders_placed: Histogram = Field(
        description="how the numbers of orders placed were distributed"
    )
    comparison: ChampionComparison | None = Field(
        default=None,
        description="comparison with the champion; null if there was none, or it was ignored",
    )
    catalogue_change: CatalogueChange | None = Field(
        default=None,
        description="which products came and went since the champion; null without champion",
    )
    drift: tuple[DriftMeasure, ...] = Field(
        default=(), description="how this week differs from the champion's; empty without champion"
    )
    week_after: WeekAfter | None = Field(
        default=None,
        description="what this week says of the champion's intervals; null if it cannot say "
        "anything of them, and if --accept-shift was set",
    )
    share_above_largest: Amount | None = Field(
        default=None,
        description="share of rows that should have a label above the largest one, were nothing "
        "cut off; null in older artifacts",
    )
    trend: Trend | None = Field(
        default=None,
        description="how far the estimates moved over the last weeks; null without earlier models",
    )
    shift_accepted: bool = Field(
        default=False,
        description="whether --accept-shift was set, so that trends are measured from it on",
    )
    refused_because: tuple[Failure, ...] = Field(
        default=(), description="the rules that it broke; empty for a published model"
    )

    @property
    def last_coverage(self) -> float | None:
        """Share of this week inside the champion's intervals; None if nobody measured it."""
        return coverage_among(self.drift)

    @property
    def week_of_products(self) -> npt.NDArray[np.int16]:
        """Which week the curve of each product is from, shape (n_products,).

        Zero is the model's own, and n the n-th of its earlier weeks.
        """
        weeks = np.zeros(len(self.catalogue.rows), np.int16)
        for number, week in enumerate(self.earlier_weeks, start=1):
            positions = self.catalogue.product_code.positions(week.product_code)
            weeks[positions[positions >= 0]] = number
        return weeks

    @property
    def own_products(self) -> int:
        """The number of products that have any rows in the dataset."""
        return int(np.count_nonzero(self.week_of_products == 0))

    @property
    def own_rows(self) -> Mapping[str, int]:
        """The rows in the dataset of each product that has any there."""
        has_rows = self.week_of_products == 0
        codes = self.catalogue.product_code.those_of(has_rows)
        return dict(zip(codes, self.catalogue.rows[has_rows].tolist()))

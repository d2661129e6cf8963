"""The words of the field that a report uses, in words that everybody knows."""

from typing import NamedTuple


class Word(NamedTuple):
    """A word of the field.

    Attributes:
        name: for links to it.
        title: the word.
        meaning: of it, as a sentence.
    """

    name: str
    title: str
    meaning: str


WORDS = (
    Word(
        "error",
        "Mean absolute error",
        "How many hours the estimates are off on average, too high and too low alike, on orders "
        "that the model had not seen.",
    ),
    Word(
        "guess",
        "Best guess",
        "What somebody without a model would say: always the mean or the median of a product. A "
        "model is worth something if it is closer than that.",
    ),
    Word(
        "floor",
        "Noise floor",
        "The error of a perfect model: orders vary for reasons that the data does not tell.",
    ),
    Word(
        "r2",
        "R²",
        "Which share of the differences in hours between orders the model explains; 1 is all, 0 "
        "is no better than the mean.",
    ),
    Word(
        "interval",
        "Prediction interval",
        "The hours around an estimate between which most orders fall, such as 9 of 10.",
    ),
    Word(
        "outlier",
        "Outlier",
        "An order so far from the estimate that it is more likely a typing error or another kind "
        "of order than chance.",
    ),
    Word("champion", "champion", "The model in use when this one, the challenger, was trained."),
    Word("drift", "Drift", "How much this week differs from the week of the champion."),
)

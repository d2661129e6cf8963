"""What is said of a model that may learn from several weeks."""

import pytest

from pipeline.model.metadata import DecayScore, SeveralWeeks
from pipeline.report.several_weeks import several_weeks_in_words
from tests.support.builders import several_weeks


def scores(chosen: float) -> list[DecayScore]:
    errors = {0.0: 0.74, 0.3: 0.73, 0.6: 0.71, 1.0: 0.72}
    return [
        DecayScore(
            decay=decay,
            mean_absolute_error_hours=error,
            excess_hours=error - 0.71,
            standard_error_hours=0.01,
            chosen=decay == chosen,
        )
        for decay, error in errors.items()
    ]


@pytest.mark.parametrize(
    ("weeks", "words"),
    [
        (
            several_weeks(decay=0.6, scores=scores(0.6)),
            "Trained on 3 weeks, each of which counts 0.6 times as much as the next: error in the "
            "following week 0.710 h instead of 0.740 h.",
        ),
        (
            several_weeks(decay=1.0, scores=scores(1.0)),
            "Trained on 3 weeks, which all count alike: error in the following week 0.720 h "
            "instead of 0.740 h.",
        ),
        (
            several_weeks(decay=0.0, scores=scores(0.0)),
            "Trained on this week alone: earlier ones do not make the error in the following week "
            "smaller by more than chance (0.710 h at best, 0.740 h without them).",
        ),
        (
            several_weeks(decay=0.0, scores=scores(0.6), hurts_this_week=True),
            "Trained on this week alone: earlier weeks would have helped before (0.710 h instead "
            "of 0.740 h), but make the estimates for this one worse.",
        ),
        (
            several_weeks(decay=0.0, datasets=[]),
            "Trained on this week alone: it takes 3 sound weeks to tell whether earlier ones help, "
            "and there is 1 sound week.",
        ),
    ],
    ids=["fading", "alike", "no help", "a step", "too few"],
)
def test_how_many_weeks_and_why_is_said_in_a_sentence(weeks: SeveralWeeks, words: str) -> None:
    assert several_weeks_in_words(weeks) == words

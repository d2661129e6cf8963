"""What is said of a model that may learn from several weeks."""

from pipeline.model.metadata import DecayScore, SeveralWeeks
from pipeline.report.formatting import count

MIN_WEEKS_TO_TELL = 3
"""Two weeks to learn from, and the one after them."""


def several_weeks_in_words(weeks: SeveralWeeks) -> str:
    """Return in a sentence from how many weeks a model learnt, and why."""
    if not weeks.scores:
        sound = count(1 + len(weeks.datasets), "sound week")
        return (
            f"Trained on this week alone: it takes {MIN_WEEKS_TO_TELL} sound weeks to tell whether "
            f"earlier ones help, and there {'is' if sound.startswith('1 ') else 'are'} {sound}."
        )
    one_week, best = weeks.scores[0], min(weeks.scores, key=_error)
    if weeks.decay > 0:
        chosen = next(score for score in weeks.scores if score.chosen)
        counts = "which all count alike"
        if weeks.decay < 1:
            counts = f"each of which counts {weeks.decay:g} times as much as the next"
        return (
            f"Trained on {weeks.trained_on:,} weeks, {counts}: error in the following week "
            f"{_error(chosen):.3f} h instead of {_error(one_week):.3f} h."
        )
    if weeks.hurts_this_week:
        return (
            "Trained on this week alone: earlier weeks would have helped before "
            f"({_error(best):.3f} h instead of {_error(one_week):.3f} h), but make the estimates "
            "for this one worse."
        )
    return (
        "Trained on this week alone: earlier ones do not make the error in the following week "
        f"smaller by more than chance ({_error(best):.3f} h at best, {_error(one_week):.3f} h "
        "without them)."
    )


def _error(score: DecayScore) -> float:
    return score.mean_absolute_error_hours

"""The rules for which a candidate is passed over: each on both sides of its limit."""

import pytest

from pipeline.model.metadata import Skill
from pipeline.training.candidate_rules import behaviour_failures, skill_failures
from tests.support.builders import SKILL, grid

RISING, FLAT = [1.0, 2.0], [1.0, 1.0]


@pytest.mark.parametrize(
    ("curves", "failures"),
    [
        ([[0.0, 5.0, 12.5]], []),
        ([[1.0, 1.0, 1.0], [1.0, 2.0, 3.0]], []),
        (
            [[0.0, 1.0, 2.0], [1.0, 2.0, 1.9]],
            ["estimates fall as orders rise, by 0.10 h Products: 'SKU1'."],
        ),
        (
            [[0.0, 1.0, 2.0], [-0.1, 2.0, 3.0]],
            ["estimates are negative, down to -0.10 h Products: 'SKU1'."],
        ),
        (
            [[0.0, 1.0, 2.0], [1.0, 2.0, 12.6]],
            [
                "estimates reach 12.60 h, more than 1.25 times the largest label (10.00 h) "
                "Products: 'SKU1'."
            ],
        ),
        (
            [[-1.0, 20.0, 1.0]],
            [
                "estimates fall as orders rise, by 19.00 h Products: 'SKU0'.",
                "estimates are negative, down to -1.00 h Products: 'SKU0'.",
                "estimates reach 20.00 h, more than 1.25 times the largest label (10.00 h) "
                "Products: 'SKU0'.",
            ],
        ),
    ],
    ids=["at the limit", "one flat", "falls", "negative", "too high", "all at once"],
)
def test_every_broken_rule_of_behaviour_is_a_failure_that_names_the_products(
    curves: list[list[float]], failures: list[str]
) -> None:
    found = behaviour_failures(grid(*curves), largest_label_hours=10.0)

    assert [" ".join([failure.summary, *failure.explanation]) for failure in found] == failures


@pytest.mark.parametrize(
    ("least_gain", "curve", "rules"),
    [(0.001, RISING, []), (0.0, RISING, ["skill"]), (-1.0, RISING, ["skill"]), (-1.0, FLAT, [])],
)
def test_a_model_beats_the_guesses_by_more_than_chance_or_is_one(
    least_gain: float, curve: list[float], rules: list[str]
) -> None:
    skill = Skill.model_validate(SKILL | {"least_gain_hours": least_gain})

    assert [failure.rule for failure in skill_failures(skill, grid(curve))] == rules

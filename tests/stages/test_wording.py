"""How messages write names that come from data."""

from pipeline.stages.wording import first_few


def test_long_lists_of_names_are_cut() -> None:
    assert first_few(["A", "B"]) == "'A', 'B'"
    assert first_few([f"P{i}" for i in range(7)]) == "'P0', 'P1', 'P2', 'P3', 'P4' and 2 more"


def test_odd_names_stay_on_one_short_line() -> None:
    assert first_few(["A\nB"]) == r"'A\nB'"
    assert len(first_few(["A" * 100_000])) < 50

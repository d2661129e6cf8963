"""Messages to people: their text, and headlines that an alert can show whole."""

import pytest

from pipeline.stages.errors import DatasetError
from pipeline.stages.messages import Message


def test_the_text_is_the_headline_and_a_line_for_each_detail_and_link() -> None:
    message = Message("Refused.", ("One.",), {"Report": "r.html"}).with_detail("Two.")

    assert str(message) == "Refused.\n  - One.\n  - Two.\n  Report: r.html"


def test_each_part_stays_on_its_line_whatever_names_are_in_it() -> None:
    message = Message("a\nb", ("ä\u202e–\x1b",), {"Report": "r\u2028\r"})

    assert str(message) == "a\\nb\n  - ä\\u202e–\\x1b\n  Report: r\\u2028\\r"


@pytest.mark.parametrize(("length", "details"), [(150, 0), (151, 1)])
def test_the_headline_of_a_refusal_is_short_and_nothing_is_lost(length: int, details: int) -> None:
    message = DatasetError("x" * length).message

    assert len(message.headline) == 150
    assert message.details == ("x" * length,) * details

"""A message to people: one short line, what else there is to know, and where to look.

Names of files and products are in it, which others choose: no character of theirs begins a line,
turns the direction of writing, or commands a terminal.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

MAX_HEADLINE_CHARACTERS = 150
"""What a pager or a chat shows at once, and all that Slack takes as the title of a message."""
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of characters that are not seen but have an effect, such as line breaks."""

CREDENTIALS = re.compile(r"(?<=//)[^/\s]+(?=@)|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")
"""User and password in a URL, or the identifier of a key of AWS."""


@dataclass(frozen=True)
class Message:
    """What the log and an alert are made from.

    Attributes:
        headline: what happened, and why, in one line.
        details: what else to know, a sentence or a list each.
        links: where to look: what is there -> its address.
        facts: what a machine may want to know, such as names and numbers: fields of JSON logs.
    """

    headline: str
    details: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return all of it as text: the headline, then a line for each detail and link."""
        details = [f"  - {detail}" for detail in self.details]
        links = [f"  {name}: {address}" for name, address in self.links.items()]
        return "\n".join(map(one_line, [self.headline, *details, *links]))

    def with_detail(self, detail: str) -> Self:
        """Return the message with one more detail."""
        return replace(self, details=(*self.details, detail))

    def with_short_headline(self) -> Self:
        """Return the message with a headline of at most 150 characters; the whole is a detail."""
        if len(self.headline) <= MAX_HEADLINE_CHARACTERS:
            return self
        short = self.headline[: MAX_HEADLINE_CHARACTERS - 1] + "…"
        return replace(self, headline=short, details=(self.headline, *self.details))


def one_line(text: str) -> str:
    """Return a text with an escape in place of each character that is not seen: `\\n`, `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in UNSEEN
        else character
        for character in text
    )


def without_credentials(text: str) -> str:
    """Return a text of others, such as an error of boto3, without the secrets in its URLs."""
    return CREDENTIALS.sub("…", text)

"""Numbers and codes as the training report writes them: the same everywhere, units included."""

from collections.abc import Sequence

from pipeline.stages.wording import first_few

MAX_CODE_LETTERS = 40
MAX_LISTED_CODES = 20
NO_BREAK = "\N{NO-BREAK SPACE}"


def hours(value: float | None) -> str:
    """Write `1,234.50 h`, with a space at which no line breaks."""
    return "not measured" if value is None else f"{value:,.2f}{NO_BREAK}h"


def fine_hours(value: float | None) -> str:
    """Write `0.0123 h`, for differences between models, which are small."""
    return "not measured" if value is None else f"{value:,.4f}{NO_BREAK}h".replace("-", "−")


def percent(share: float) -> str:
    """Write `2.5 %`, to three digits: small shares matter here, such as one bad row in 10,000."""
    return f"{100 * share:.3g}{NO_BREAK}%"


def number(value: float | None) -> str:
    """Write a number of unknown unit: to three digits, but large ones in full."""
    if value is None:
        return "not measured"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def change(ratio: float) -> str:
    """Write by how much estimates moved: `52 % more hours`, `50 % fewer hours`."""
    if not 0.995 <= ratio < 1.005:
        return f"{abs(ratio - 1):.0%}".replace("%", f"{NO_BREAK}% ") + (
            "more hours" if ratio > 1 else "fewer hours"
        )
    return "the same"


def count(rows: int, noun: str) -> str:
    """Write `1 row`, `2,000 rows`."""
    return f"{rows:,} {noun}" if rows == 1 else f"{rows:,} {noun}s"


def short(text: object) -> str:
    """Write text from data on one line of at most 40 letters, its beginning and its end.

    Characters that do not print could change how the words around them look.
    """
    clean = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(text)
    )
    return clean if len(clean) <= MAX_CODE_LETTERS else f"{clean[:28]}…{clean[-11:]}"


def listed(products: Sequence[str]) -> str:
    """Write the first product codes, and how many more there are."""
    return first_few(products, short, MAX_LISTED_CODES)

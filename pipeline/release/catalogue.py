"""Which products came and went since the champion's week, and which are only written otherwise."""

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Set

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.model.arrays import Floats
from pipeline.model.metadata import CatalogueChange, Failure, ProductsApart, RewrittenCode
from pipeline.model.order import normalised_code
from pipeline.model.product_codes import ProductCodes
from pipeline.model.reader import DispatchModel
from pipeline.model.similar_codes import plain_form
from pipeline.release.champion_rules import UNLIKE_THE_LAST
from pipeline.stages.command_line import option_of
from pipeline.stages.wording import first_few

FALSE_ALARM_RATE = 0.01
"""Products with few rows miss a week by chance: what chance exceeds this often is allowed for."""
MIN_CHANCE = 0.001
"""A smaller share by chance is not worth a word."""


def compare_catalogues(
    champion: DispatchModel, now: "pd.Series[int]", retired: Set[str]
) -> CatalogueChange:
    """Return which products vanished since the champion's week, and which are new.

    Args:
        champion: the model in production.
        now: rows of each product in this week, by its code.
        retired: normalised codes of products that people retired, which may vanish.
    """
    rows = champion.metadata.own_rows
    expected = {code: n for code, n in rows.items() if normalised_code(code) not in retired}
    before = pd.Series(expected, dtype=float)
    counts = now.astype(float)
    return CatalogueChange(
        vanished=_apart(before, counts, known=now.index),
        new=_apart(counts, before, known=champion.products),
        rewritten=tuple(_rewritten(champion.products, now.index)),
    )


def catalogue_failures(
    change: CatalogueChange, max_vanished_share: float, max_new_share: float
) -> list[Failure]:
    """Return why the products are too unlike those of the champion, or nothing.

    The caller asks only where such weeks are not accepted.

    Args:
        change: of the products since the champion's week.
        max_vanished_share: largest share of the champion's rows whose products may be missing.
        max_new_share: largest share of this week's rows whose products may be new.
    """
    rules = (
        ("vanished", "of the last rows are of products that vanished", change.vanished),
        ("new", "of the rows are of new products", change.new),
    )
    limits = {"vanished": max_vanished_share, "new": max_new_share}
    return [
        Failure(
            rule=f"{name}_products",
            summary=f"{UNLIKE_THE_LAST}: {products.share:.1%} {what}, more than the limit of "
            f"{limits[name] + products.by_chance:.3g}",
            value=products.share,
            limit=limits[name] + products.by_chance,
            details=(
                f"Products: {first_few(products.product_code)}.",
                *rewritten_in_words(change),
                *_chance(products),
            ),
            remedy=f"If the catalogue really changed, {option_of('accept_shift')} publishes the "
            f"new model; a larger {option_of(f'max_{name}_share')} accepts every such week.",
        )
        for name, what, products in rules
        if products.share > limits[name] + products.by_chance
    ]


def rewritten_in_words(change: CatalogueChange) -> list[str]:
    """Return which codes are only written otherwise, as one sentence; nothing if none are."""
    pairs = [
        f"{code.now!r} stands beside {code.before!r}"
        if code.both
        else f"{code.before!r} is now {code.now!r}"
        for code in change.rewritten
    ]
    return [f"Codes are written in another way: {first_few(pairs, str)}."] if pairs else []


def _apart(
    rows: "pd.Series[float]", others: "pd.Series[float]", known: Collection[str]
) -> ProductsApart:
    """Return which products of a week are unknown in the other, those with most rows first.

    Args:
        rows: of each product in the week, by code.
        others: the same of the other week.
        known: codes of the other week.
    """
    apart = rows[~rows.index.isin(list(known))].sort_values(ascending=False, kind="stable")
    return ProductsApart(
        product_code=tuple(apart.index),
        share=float(apart.sum() / rows.sum()),
        by_chance=_share_by_chance(np.asarray(others, dtype=float), float(rows.sum())),
    )


def _share_by_chance(others: Floats, rows: float) -> float:
    """Return the largest share of a week's rows whose products another week lacks by chance.

    It is the share of the other week's rows that are the only ones of their product (Good 1953).
    Its error has the variance (n₁ + 2n₂) / n², where n₁ and n₂ products have one and two of the n
    rows; the share of so many rows of a week varies around it.

    Args:
        others: rows of each product in the other week, shape (n_products,).
        rows: number of all rows of the week.
    """
    total = float(others.sum())
    single, double = float((others == 1).sum()), float((others == 2).sum())
    share = single / total
    variance = (single + 2 * double) / total**2 + share / rows
    return share + float(stats.norm.isf(FALSE_ALARM_RATE)) * math.sqrt(variance)


def _rewritten(known: ProductCodes, now: "pd.Index[str]") -> Iterator[RewrittenCode]:
    """Yield the codes of this week that are known ones but for how they are written."""
    alike = defaultdict(list)
    for code in known:
        alike[_bare(code)].append(code)
    for code in now.difference(list(known)):
        for before in alike[_bare(code)]:
            yield RewrittenCode(before=before, now=code, both=before in now)


def _bare(code: str) -> str:
    """Return what is left of a code without leading zeros, case, blanks and punctuation.

    A number that went through a spreadsheet may end in `.0`.
    """
    text = unicodedata.normalize("NFKC", code).strip()
    return plain_form(re.sub(r"\.0+$", "", text)) or code


def _chance(products: ProductsApart) -> list[str]:
    """Return which part of the limit is for chance, if that is worth a word."""
    if products.by_chance < MIN_CHANCE:
        return []
    return [f"{products.by_chance:.1%} of the limit is for chance, as products have few rows."]

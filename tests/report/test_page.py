"""The training report: what it says, that it needs nothing but itself, and that it stays small."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.api.browser_rules import hash_source
from pipeline.model.metadata import REMARKS, CandidateScore, ModelMetadata, Outlier
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.model.page_style import REPORT_SCRIPT
from pipeline.model.reader import DispatchModel
from pipeline.orders.rejected_rows import RejectedRows
from pipeline.orders.row_rules import COLUMNS, REASON
from pipeline.orders.simulator import HOURS_PER_ORDER, simulate_orders
from pipeline.report.page import render_report
from pipeline.training.fitting import TrainedModel
from tests.support.builders import (
    KEPT,
    SKILL,
    comparison,
    dataset,
    metadata_of,
    model,
    several_weeks,
    trained_model,
)

pytestmark = pytest.mark.slow

VERSION = "time_to_dispatch_2026-11-23T18-49-11-198262_4c31a57b802f2bb0"
CHAMPION = "time_to_dispatch_2026-11-16T18-49-11-198262_00000000000000aa"
SECTIONS = (
    "verdict numbers curves products kept errors candidates champion drift outliers rejected "
    "remarks lineage words"
).split()
VOID = {"meta", "br", "input"}
COMPARISON = comparison(
    champion_version=CHAMPION,
    compared_rows=199,
    champion_error_hours=0.71,
    challenger_error_hours=0.65,
    least_excess_hours=-0.0712,
    champion_recorded_error_hours=0.63,
    shifted_share=0.0123,
    median_ratio=1.04,
    shifts=[
        {"product_code": "SKU003", "ratio": 1.52, "rows": 201},
        {"product_code": "SKU001", "ratio": 0.75, "rows": 190},
        {"product_code": "SKU002", "ratio": 1.001, "rows": 180},
    ],
)
ROWS_OUTSIDE = {"name": "rows", "value": 120.0, "least": 500.0, "most": None, "breached": True}
MIXED = {"product_code": "SKU001", "rows": 200, "share": 0.58, "label_hours": 0.0}
IN_STEPS = {"product_code": "SKU001", "step_hours": 12.0}
OUTLIER = dict(zip(Outlier.model_fields, ("SKU001", 5, 900.0, 0.37, 88.0)))


class Page(HTMLParser):
    """A report as a reader has it; an element that is not closed properly is an error.

    Attributes:
        elements: tag, attributes and section of each element.
        text: words of each section; those of the head are in section "".
        rows: fields of each table row, with section and class.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], str]] = []
        self.text: dict[str, str] = {}
        self.rows: list[tuple[str, str, list[str]]] = []
        self._open: list[str] = []
        self._section = ""
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = dict(attributes)
        assert len(names) == len(attributes)
        if tag == "section":
            self._section = names["id"] or ""
        if tag == "tr":
            self.rows.append((self._section, names.get("class") or "", []))
        if tag in ("td", "th"):
            self.rows[-1][2].append("")
        if tag not in VOID:
            self._open.append(tag)
        self.elements.append((tag, names, self._section))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes), self._section))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, words: str) -> None:
        words = words.replace("\N{NO-BREAK SPACE}", " ")
        self.text[self._section] = self.text.get(self._section, "") + words
        if {"td", "th"} & set(self._open):
            self.rows[-1][2][-1] += words

    def table(self, section: str) -> list[list[str]]:
        """Return the rows of the tables of a section, headers included."""
        return [fields for where, _, fields in self.rows if where == section]

    def captions(self) -> list[str]:
        """Return the product codes above the figures of products, without what follows."""
        return re.findall(r"\n(.+?)\n[\d,]+ rows?, ", self.text["curves"])


def orders_of(rows: int = 1_000, hours_per_order: Any = HOURS_PER_ORDER) -> pd.DataFrame:
    orders = simulate_orders(rows, seed=1, hours_per_order=hours_per_order)
    return orders.astype({PRODUCT: "category", ORDERS: float})


WEEK = orders_of()


def model_of(orders: pd.DataFrame, hours_per_order: Any = HOURS_PER_ORDER) -> TrainedModel:
    return trained_model(orders, {code: (0.0, slope) for code, slope in hours_per_order.items()})


def facts_of(orders: pd.DataFrame, **changes: Any) -> ModelMetadata:
    """Return the metadata of a published first model with round numbers."""
    facts: dict[str, Any] = {
        "library_versions": {"scikit-learn": "1.9.1", "numpy": "2.4.6"},
        "regressor": "CurveOfFour",
        "candidates": [
            candidate("Line", 0.7013, 0.0502, 0.0101, False),
            candidate("CurveOfFour", 0.6534, 0.0023, 0.0045, True),
            candidate("CurveOfNine", 0.6511, 0, 0, False),
        ],
        "metrics": {
            "r_squared": 0.98765,
            "mean_absolute_error_hours": 0.6543,
            "noise_floor_hours": 0.6321,
            "test_rows": len(orders) // 5,
        },
        "interval": {
            "lower_multiple": 0.5,
            "upper_multiple": 1.7,
            "noise_base_hours": 0.8,
            "noise_growth": 0,
        },
    }
    return metadata_of(orders, **facts | changes)


def candidate(*facts: Any) -> dict[str, Any]:
    return dict(zip(CandidateScore.model_fields, facts))


def render(
    orders: pd.DataFrame = WEEK,
    trained: TrainedModel | None = None,
    champion: DispatchModel | None = None,
    rejected: pd.DataFrame | None = None,
    **changes: Any,
) -> str:
    """Return the report on a published first model; changes are those of its metadata."""
    week = dataset(orders) if rejected is None else dataset(orders, rejected=RejectedRows(rejected))
    trained = model_of(orders) if trained is None else trained
    return render_report(VERSION, facts_of(orders, **changes), week, trained, champion)


def read(*facts: Any, **changes: Any) -> Page:
    return Page(render(*facts, **changes))


@pytest.fixture(scope="module")
def page() -> Page:
    """Return the report on a published first model."""
    return read()


def test_every_section_is_there_and_the_verdict_comes_first(page: Page) -> None:
    assert [names["id"] for tag, names, _ in page.elements if tag == "section"] == SECTIONS
    assert [
        (names["href"] or "").lstrip("#")
        for tag, names, _ in page.elements
        if tag == "a" and names["href"] != "#remarks" and "class" not in names
    ] == [name for name in SECTIONS[1:] if name != "remarks"]


def test_the_page_needs_no_network_and_runs_its_own_script_alone() -> None:
    html = render(comparison=COMPARISON)
    page = Page(html)

    assert not {"link", "img", "iframe", "object"} & {tag for tag, _, _ in page.elements}
    for _, names, _ in page.elements:
        assert "src" not in names
        assert not any(name.startswith("on") for name in names)
        assert all((names.get(name) or "#").startswith("#") for name in ("href", "xlink:href"))
    assert set(re.findall(r"url\((.)", html)) == {"#"}
    assert "default-src 'none'" in html
    assert f"script-src {hash_source(REPORT_SCRIPT.encode())};" in html
    assert "@import" not in html


def test_ids_are_unique_and_every_reference_leads_somewhere() -> None:
    html = render()
    ids = [names["id"] for _, names, _ in Page(html).elements if "id" in names]

    references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)|labelledby="([^"]+)"', html)

    assert len(ids) == len(set(ids))
    assert {name for names in references for name in names if name} <= set(ids)


def test_every_figure_is_told_in_words(page: Page) -> None:
    labels = [
        (names["aria-label"] or "").replace("\N{NO-BREAK SPACE}", " ")
        for _, names, _ in page.elements
        if names.get("role") == "img"
    ]

    assert len(labels) == len(HOURS_PER_ORDER) + 3
    assert labels[0].startswith("SKU001: ")
    assert "0.00 h at 0 orders placed to 23.61 h at 319" in labels[0]
    assert "the interval reaches from 23.21 h to 24.97 h" in labels[0]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("", f"Published: {VERSION}"),
        ("verdict", "✔ Published"),
        ("verdict", "Nothing has to be done"),
        ("verdict", "off by 0.65 h"),
        ("verdict", "0.63 h"),
        ("numbers", "0.65 h"),
        ("numbers", "0.63 h"),
        ("numbers", "0.9877"),
        ("numbers", "−0.40 h to +1.36 h"),
        ("numbers", "90 % of"),
        ("numbers", "1,000"),
        ("kept", "None is known of: there was no champion"),
        ("candidates", "simplest candidate within one standard error of the best, CurveOfNine"),
        ("champion", "Nothing to compare"),
        ("drift", "Not measured: there was no champion"),
        ("outliers", "None. No row is farther than six"),
        ("rejected", "None. Every row of the file"),
        ("remarks", "None. Every product"),
        ("lineage", "datasets/time_to_dispatch_2026-11-20T23-00-00.csv"),
        ("lineage", "ab12" * 16),
        ("lineage", "2026-11-20 23:00:00+00:00"),
        ("lineage", "2026-11-23 18:49:11.198262+00:00"),
        ("lineage", "abc123"),
        ("lineage", "CurveOfFour"),
        ("lineage", "1.9.1"),
        ("lineage", "level 90 %, calibrated on 2 rows"),
        ("lineage", "0.5 times the noise below the estimate and 1.7 times the noise above it"),
        ("lineage", "relative noise of the product · (0.8 + 0 · estimate)"),
    ],
)
def test_the_report_on_a_first_model(section: str, words: str, page: Page) -> None:
    assert words in page.text[section]


def test_products_that_came_and_went_are_listed_and_rewritten_codes_have_a_next_step() -> None:
    change = {
        "vanished": {"product_code": ["00123", "<b>"], "share": 0.25, "by_chance": 0},
        "new": {"product_code": ["123"], "share": 0.2, "by_chance": 0},
        "rewritten": [{"before": "00123", "now": "123", "both": False}],
    }

    page = read(comparison=COMPARISON, drift=[ROWS_OUTSIDE], catalogue_change=change)

    assert "Vanished (2 products, 25 % of the last rows): 00123, <b>" in page.text["drift"]
    assert "New (1 product, 20 % of the rows): 123" in page.text["drift"]
    assert "00123 is now 123" in page.text["drift"]
    assert "Product codes are written in another way" in page.text["verdict"]


def test_rows_that_are_there_several_times_are_shown_and_have_a_next_step() -> None:
    repeated = {"share": 0.667, "by_chance": 0.012, "copies": 3, "breached": True}

    page = read(dataset={"repeated": repeated})

    assert "Rows seem to be in the file several times" in page.text["verdict"]
    assert "Nothing has to be done" not in page.text["verdict"]
    assert "66.7 % of the valid rows are exactly like an earlier one" in page.text["numbers"]


@pytest.mark.parametrize(
    ("changes", "section", "words"),
    [
        ({"git_commit": None}, "lineage", "not recorded"),
        ({"dataset": {"rejected_rows": 3}}, "numbers", "0.299 % of"),
        ({"dataset": {"step_hours": 12.0}}, "numbers", "The hours come in steps of 12"),
        (
            {"remarks": {"mixed": ["SKU001"], "kinds": [MIXED]}},
            "remarks",
            "58% of its 200 rows are at 0 h",
        ),
        (
            {"remarks": {"mixed": ["SKU001"], "kinds": [MIXED]}},
            "verdict",
            "1 product has orders of two kinds: SKU001.",
        ),
        ({"remarks": {"in_steps": [IN_STEPS]}}, "remarks", "In steps of 12 h (1 product)"),
        ({"catalogue": {"relative_noise": [2.0] * 5}}, "numbers", "−0.80 h to +2.72 h"),
        ({"metrics": {"r_squared": None}}, "numbers", "not defined"),
        ({"drift": [ROWS_OUTSIDE | {"breached": False}]}, "drift", "All measures are as they"),
        (
            {"candidates": [candidate("CurveOfFour", 0.6, 0, 0, True)]},
            "candidates",
            "It has the smallest error",
        ),
        (
            {"candidates": [candidate("Best", 0.6, 0, 0, False, ["skill"])]},
            "candidates",
            "It is the next best that breaks no rule, after Best.",
        ),
        ({"metrics": {"test_rows": 29}}, "numbers", "from 29 test rows, which are too few"),
        ({"skill": SKILL}, "numbers", "how far the median per product is off"),
        (
            {"metrics": {"r_squared": 0.5, "r_squared_with_outliers": 0.25}},
            "numbers",
            "0.2500 with outliers",
        ),
    ],
)
def test_what_may_be_otherwise(changes: dict[str, Any], section: str, words: str) -> None:
    assert words in read(**changes).text[section]


def test_products_without_orders_are_kept_or_dropped_by_name() -> None:
    kept = {**KEPT, "product_code": ["<b>", "GONE"]}
    dropped = {"reason": "retired by ttd-models", "product_code": ["OLD"]}

    page = read(earlier_weeks=[kept], dropped=[dropped])

    assert page.table("kept")[1:] == [["2026-11-13", "2027-01-08", "2", "<b>, GONE"]]
    assert "Dropped (1 product) retired by ttd-models: OLD." in page.text["kept"]
    assert "None" not in page.text["kept"]


def test_a_page_about_very_many_products_stays_small() -> None:
    codes = tuple(f"SKU{number:06}" for number in range(30_000))
    apart = {"product_code": codes, "share": 0.5, "by_chance": 0.0}
    rewritten = [{"before": code, "now": f"{code}x", "both": False} for code in codes]
    remarks = [remark for remark in REMARKS if remark not in ("held_back", "unfit")]  # are drawn

    html = render(
        remarks=dict.fromkeys(remarks, codes),
        earlier_weeks=[{**KEPT, "product_code": codes}],
        dropped=[{"reason": "retired", "product_code": codes}],
        catalogue_change={"vanished": apart, "new": apart, "rewritten": rewritten},
    )

    assert len(html) < 1_000_000
    assert html.count("29,9") >= len(remarks)  # how many are not named


def test_a_refused_model_says_why_and_what_to_do() -> None:
    reasons = ("R² 0.5 is below the limit of 0.8", "estimates are negative <b>")

    page = read(refused_because=reasons)

    verdict = page.text["verdict"]
    assert "✘ Refused" in verdict and "Published" not in verdict
    assert "broke 2 rules" in verdict
    assert all(reason in verdict for reason in reasons)
    assert "Look at the dataset first: datasets/time_to_disp" in verdict
    assert f"Refused: {VERSION}" in page.text[""]


def test_a_refusal_that_can_be_accepted_says_how() -> None:
    reason = {
        "rule": "shifted_share",
        "summary": "the estimates moved",
        "details": ["By a factor of 3."],
        "remedy": "If they really did, --accept-shift publishes the new model.",
    }

    page = read(refused_because=[reason], drift=[ROWS_OUTSIDE], comparison=COMPARISON)

    assert "broke 1 rule and" in page.text["verdict"]
    assert "See outliers, drift and rejected rows below" in page.text["verdict"]
    assert (
        "the estimates moved. By a factor of 3. If they really did, --accept-shift"
        in (page.text["verdict"])
    )
    assert f"The model in use stays {CHAMPION}" in page.text["verdict"]


def test_a_breached_measure_is_marked_in_colour_and_in_words() -> None:
    fine = {"name": "new <b>", "value": 0.0123, "least": None, "most": 0.1, "breached": False}
    unknown = {"name": "median", "value": None, "least": 0.5, "most": 2.0, "breached": False}

    far = ROWS_OUTSIDE | {"refused_below": 200.0}

    page = read(drift=[ROWS_OUTSIDE, far, fine, unknown])

    assert [(kind, fields) for section, kind, fields in page.rows if section == "drift"][1:] == [
        ("breached", ["rows", "120", "500", "no limit", "✘ outside"]),
        ("breached", ["rows", "120", "500", "no limit", "✘ far outside"]),
        ("", ["new <b>", "0.0123", "no limit", "0.1", "✔ fine"]),
        ("", ["median", "not measured", "0.5", "2", "not measured"]),
    ]
    assert "2 measures of 4 are outside" in page.text["drift"]
    assert "2 measures of drift are outside what is normal" in page.text["verdict"]


def test_the_candidates_and_which_one_was_chosen(page: Page) -> None:
    assert page.table("candidates")[1:] == [
        ["Line", "0.7013 h", "0.0502 h", "0.0101 h", "no", ""],
        ["CurveOfFour", "0.6534 h", "0.0023 h", "0.0045 h", "yes", "✔ chosen"],
        ["CurveOfNine", "0.6511 h", "0.0000 h", "0.0000 h", "yes", ""],
    ]


def test_a_champion_is_compared_and_drawn_where_it_knows_the_product() -> None:
    known = {code: (0.0, 1.2 * slope) for code, slope in HOURS_PER_ORDER.items()}
    del known["SKU002"]

    html = render(comparison=COMPARISON, champion=model(known, known))

    table = Page(html).table("champion")
    numbers = "199 | 0.71 h | 0.65 h | −0.0712 h | 0.63 h | 1.23 % | 1.04"
    assert [row[1] for row in table[:7]] == numbers.split(" | ")
    assert "not worse by more than chance" in table[3][2]
    assert table[8:] == [
        ["SKU003", "1.52", "52 % more hours", "201"],
        ["SKU001", "0.75", "25 % fewer hours", "190"],
        ["SKU002", "1", "the same", "180"],
    ]
    dashes = 'stroke="#9a4a00" stroke-width="1.6"'
    assert (html.count(dashes), render().count(dashes)) == (4, 0)
    assert html.count("The champion says 28.33\N{NO-BREAK SPACE}h there") == 1


def test_a_challenger_that_is_worse_than_chance_explains() -> None:
    update = {"least_excess_hours": 0.02, "same_dataset": True}

    page = read(comparison=COMPARISON.model_copy(update=update))

    assert page.table("champion")[3][2].startswith("worse by more than chance explains (99 % sure)")
    assert "Both were trained on the same file" in page.text["champion"]


def test_a_champion_of_other_products() -> None:
    nothing = ("champion_error_hours", "challenger_error_hours", "least_excess_hours")
    update = {**dict.fromkeys(nothing), "median_ratio": None, "compared_rows": 0, "shifts": ()}

    page = read(comparison=COMPARISON.model_copy(update=update))

    assert "their errors could not be compared" in page.text["champion"]
    assert [row[1] for row in page.table("champion")].count("not measured") == 4


def week_with_outliers(orders: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Return a week whose first labels are 900 h."""
    return orders.assign(**{HOURS: orders[HOURS].mask(np.arange(len(orders)) < rows, 900.0)})


def test_outliers_are_listed_and_drawn_unlike_other_rows_which_they_do_not_flatten() -> None:
    outliers = {"rows": 30, "share": 0.03, "farthest": [OUTLIER] * 25}

    page = read(week_with_outliers(WEEK, 30), outliers=outliers)

    table = page.table("outliers")
    assert table[1] == ["SKU001", "5", "900.00 h", "0.37 h", "+88.0"]
    assert len(table) == 1 + 20
    assert "shows 20 of 30 outliers: 10 more are not shown" in page.text["outliers"]
    assert "30 rows (3 % of the valid rows)" in page.text["outliers"]
    crosses = [
        names
        for tag, names, section in page.elements
        if tag == "use"
        and section == "curves"
        and "#b00020" in (names["fill"] or names["stroke"] or "")
    ]
    assert len(crosses) == 30
    assert max(map(float, re.findall(r"\n +(\d+)\n", page.text["curves"]))) <= 320


def test_rejected_rows_are_shown_in_part() -> None:
    rejected = pd.DataFrame(
        {"warehouse": "north", PRODUCT: "SKU001", ORDERS: "-5", HOURS: "<i>2</i>"},
        index=range(25),
    ).assign(**{f"spare_{i}": "" for i in range(6)}, reason="orders_placed is negative")

    page = read(rejected=rejected, dataset={"rejected_rows": 25})

    table = page.table("rejected")
    assert table[0][:5] == [REASON, *COLUMNS, "warehouse"]
    assert table[1][:5] == ["orders_placed is negative", "SKU001", "-5", "<i>2</i>", "north"]
    assert len(table) == 1 + 20
    assert "25 rows of 1,025 could not be used" in page.text["rejected"]
    assert "shows 20 of 25 rejected rows: 5 more" in page.text["rejected"]
    assert "3 other columns of the file are not shown" in page.text["rejected"]


def test_remarks_name_the_first_products_and_count_the_rest() -> None:
    codes = [f"P{i}" for i in range(25)]

    page = read(remarks={"few_rows": codes, "falling": ["<b>"], "flat": ["<b>", "SKU003"]})

    assert "(25 products)" in page.text["remarks"]
    assert "P18, P19 and 5 more" in page.text["remarks"]
    assert "Falling (1 product)" in page.text["remarks"]
    assert "<b>, SKU003" in page.text["remarks"]
    assert "deserve a second look" in page.text["verdict"]


def test_unfit_products_are_named_marked_and_have_a_next_step() -> None:
    page = read(remarks={"unfit": ["SKU003"], "wide": ["SKU003"]})

    assert "Nothing has to be done" not in page.text["verdict"]
    assert "1 product has too many outliers" in page.text["verdict"]
    assert "SKU003 ✘ too many outliers" in page.text["curves"]
    assert "Unfit (1 product)" in page.text["remarks"]
    assert "Wide (1 product)" in page.text["remarks"]


@pytest.mark.parametrize(
    ("remark", "mark", "verdict"),
    [
        ("unskilled", "✘ worse than a guess", "The estimates of 1 product are no good"),
        ("biased", "✘ off to one side", "The estimates of 1 product are no good"),
        ("surprising", "✘ far from the champion", "The champion says something else of 1 product"),
        ("swapped", "✘ swapped?", "The champion says something else of 1 product"),
    ],
)
def test_products_that_cannot_be_trusted_are_named_and_marked(
    remark: str, mark: str, verdict: str
) -> None:
    page = read(remarks={remark: ["SKU003"]})

    assert verdict in page.text["verdict"] and ": SKU003. See" in page.text["verdict"]
    assert f"SKU003 {mark}" in page.text["curves"]
    assert f"{remark.capitalize()} (1 product)" in page.text["remarks"]


def test_words_from_data_are_escaped_and_cut() -> None:
    attack = '<script>alert("1")</script>'
    odd = "$\\frac{1}$ & 漢字 😀"
    codes = {attack: 0.05, odd: 0.04, "long" * 2_500: 0.03, "two\n\u202elines": 0.02}
    orders = orders_of(400, codes)
    shifts = [{"product_code": code, "ratio": 3.0, "rows": 9} for code in codes]

    html = render(
        orders,
        model_of(orders, codes),
        remarks={"few_rows": list(codes)},
        comparison=comparison(shifts=shifts),
    )

    page = Page(html)
    assert attack not in html and "<script>alert" not in html
    assert "longlonglong" in html
    assert "long" * 11 not in html
    assert "\u202e" not in html
    shown = [attack, odd, "long" * 7 + "…" + "onglonglong", "two��lines"]
    assert [row[0] for row in page.table("champion")[8:]] == shown
    assert sorted(page.captions()) == sorted(shown)


def test_few_products_are_all_shown(page: Page) -> None:
    assert page.captions() == sorted(HOURS_PER_ORDER)
    assert "Shown are" not in page.text["curves"]


def many_products(products: int, rows: int) -> tuple[pd.DataFrame, TrainedModel]:
    """Return products of about equal size, but P7 is largest and P3 the worst."""
    hours_per_order = {f"P{i}": 0.01 + i / (10 * products) for i in range(products)}
    orders = orders_of(rows, hours_per_order)
    more = orders[orders[PRODUCT] == "P7"]
    orders = pd.concat([orders, more, more], ignore_index=True)
    model = model_of(orders, hours_per_order)
    estimates = model.test.estimates + 50.0 * (model.test.rows[PRODUCT] == "P3").to_numpy()
    return orders, replace(model, test=model.test._replace(estimates=estimates))


def test_of_many_products_the_largest_and_the_worst_are_shown_always_the_same() -> None:
    html = render(*many_products(30, 20_000))

    page = Page(html)
    assert len(page.captions()) == len(set(page.captions())) == 12
    assert (page.captions()[0], page.captions()[6]) == ("P7", "P3")
    assert "There are 30 products. Shown are the 6 with the most rows" in page.text["curves"]
    assert "of the others the 6 with too many outliers or with the largest" in page.text["curves"]
    assert html == render(*many_products(30, 20_000))


def test_of_many_products_the_unfit_are_shown_before_the_worst() -> None:
    page = Page(render(*many_products(30, 2_000), remarks={"unfit": ["P20"]}))

    assert page.captions()[6].startswith("P20")


def test_a_large_week_stays_below_a_megabyte() -> None:
    orders, trained = many_products(300, 200_000)
    codes = sorted(orders[PRODUCT].unique())
    shift = {"product_code": "x" * 1_000, "ratio": 9.0, "rows": 1}

    html = render(
        week_with_outliers(orders, 10_000),
        trained,
        champion=model(codes),
        comparison=comparison(shifts=[shift] * 100),
        remarks=dict.fromkeys(("few_rows", "falling", "flat"), codes),
        outliers={"rows": 10_000, "share": 0.05, "farthest": [OUTLIER] * 100},
    )

    assert len(html.encode()) < 600_000
    assert "shows 20 of 100 recorded products" in Page(html).text["champion"]
    assert re.search(r"dots are 1,500 of [\d,]+ test rows", Page(html).text["errors"])


@pytest.mark.parametrize(
    "rows",
    [
        [("A", 3.0, 2.0)] * 10,
        [("A", 0.0, 0.0)] * 10,
        [("A", float(i), 2.0) for i in range(21)] + [("B", 4.0, 2.0)],
        [("A", 1e4 * i, 1e3 * i) for i in range(101)],
    ],
    ids=["one point", "zeros", "a product with one row and none to test", "the largest numbers"],
)
def test_odd_weeks(rows: list[tuple[str, float, float]]) -> None:
    orders = pd.DataFrame(rows, columns=COLUMNS).astype({PRODUCT: "category"})

    page = read(orders, model_of(orders, {"A": 0.1, "B": 0.0}))

    assert page.captions() == sorted(set(orders[PRODUCT]))
    without_test_rows = "not measured" in page.text["curves"]
    assert without_test_rows == ("B" in set(orders[PRODUCT]))
    assert not re.search(r"\b(nan|inf)\b", " ".join(page.text.values()))


def test_a_few_large_errors_do_not_squeeze_the_histogram_into_one_bar() -> None:
    trained = model_of(WEEK)
    trained.test.estimates[0] += 500.0

    html = render(WEEK, trained)

    histogram = html[html.index('<svg role="img" aria-label="Histogram') :]
    ticks = [float(tick.replace("−", "-")) for tick in re.findall(r">(−?[\d.]+)</text>", histogram)]
    assert min(ticks) > -5


def test_weeks_are_told_of_where_several_were_asked_for(page: Page) -> None:
    told = read(several_weeks=several_weeks(decay=0.0))

    assert "weeks" not in page.text
    assert "Trained on this week alone" in told.text["weeks"]
    assert told.table("weeks")[1] == ["2026-11-06", "992", "0.7100 h", "0.7400 h", "87.5 %"]
    assert told.table("weeks")[-1] == ["datasets/week_3.csv", "903", "0", "3" * 64]
    assert {"href": "#weeks"} in [names for _, names, _ in told.elements]

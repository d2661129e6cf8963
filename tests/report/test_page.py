"""The training report: what it says, that it needs nothing but itself, and that it stays small."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.model.metadata import (
    CandidateScore,
    ChampionComparison,
    DatasetLineage,
    DriftMeasure,
    Histogram,
    Metrics,
    ModelMetadata,
    Outlier,
    Outliers,
    PredictionInterval,
    ProductCatalogue,
    ProductRemarks,
    ProductShift,
)
from pipeline.orders.csv_rows import COLUMNS, HOURS, ORDERS, PRODUCT, REASON
from pipeline.orders.simulator import HOURS_PER_ORDER, NOISE_HOURS, simulate_orders
from pipeline.report.page import ReportFacts, render_report
from pipeline.training.evaluation import GridEstimates

pytestmark = pytest.mark.slow

VERSION = "time_to_dispatch_2026-11-23T18-49-11-198262_4c31a57b802f2bb0"
CHAMPION = "time_to_dispatch_2026-11-16T18-49-11-198262_00000000000000aa"
SECTIONS = [
    "verdict",
    "numbers",
    "curves",
    "errors",
    "candidates",
    "champion",
    "drift",
    "outliers",
    "rejected",
    "remarks",
    "lineage",
]
VOID = {"meta", "br"}
COMPARISON = ChampionComparison(
    champion_version=CHAMPION,
    same_dataset=False,
    compared_rows=199,
    champion_error_hours=0.71,
    challenger_error_hours=0.65,
    least_excess_hours=-0.0712,
    champion_recorded_error_hours=0.63,
    shifted_share=0.0123,
    median_ratio=1.04,
    shifts=(
        ProductShift(product_code="SKU003", ratio=1.52, rows=201),
        ProductShift(product_code="SKU001", ratio=0.75, rows=190),
        ProductShift(product_code="SKU002", ratio=1.001, rows=180),
    ),
)


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


def make_orders(rows: int = 1_000, hours_per_order: Any = HOURS_PER_ORDER) -> pd.DataFrame:
    orders = simulate_orders(rows, seed=1, hours_per_order=hours_per_order)
    return orders.astype({PRODUCT: "category", ORDERS: float})


def make_grid(orders: pd.DataFrame, hours_per_order: Any = HOURS_PER_ORDER) -> GridEstimates:
    most = orders.groupby(PRODUCT, observed=True)[ORDERS].max()
    products = most.index.to_numpy(dtype=object)
    grid = np.linspace(0.0, most.to_numpy(), 41, axis=1)
    return GridEstimates(products, grid, grid * [[hours_per_order[code]] for code in products])


def make_metadata(orders: pd.DataFrame, **changes: Any) -> ModelMetadata:
    products = orders.groupby(PRODUCT, observed=True)[ORDERS]
    rows = products.count()
    facts: dict[str, Any] = dict(
        trained_at=datetime(2026, 11, 23, 18, 49, 11, 198262, UTC),
        git_commit="0b8f187",
        library_versions={"scikit-learn": "1.9.1", "numpy": "2.4.6"},
        regressor="CurveOfFour",
        candidates=(
            make_candidate("Line", 0.7013, 0.0502, 0.0101),
            make_candidate("CurveOfFour", 0.6534, 0.0023, 0.0045, chosen=True),
            make_candidate("CurveOfNine", 0.6511, 0.0, 0.0),
        ),
        dataset=make_dataset(len(orders)),
        metrics=Metrics(
            r_squared=0.98765,
            mean_absolute_error_hours=0.6543,
            noise_floor_hours=0.6321,
            train_rows=800,
            test_rows=len(orders) // 5,
        ),
        interval=PredictionInterval(
            level=0.9,
            multiple=1.7,
            noise_base_hours=NOISE_HOURS,
            noise_growth=0.0,
            calibration_rows=1_234,
        ),
        outliers=Outliers(rows=0, share=0.0, farthest=()),
        catalogue=ProductCatalogue(
            product_code=tuple(rows.index),
            rows=tuple(rows),
            least_orders=tuple(products.min()),
            most_orders=tuple(products.max()),
            relative_noise=(1.0,) * len(rows),
        ),
        remarks=ProductRemarks(few_rows=(), falling=(), flat=()),
        orders_placed=Histogram(edges=(0.0, 320.0), counts=(len(orders),)),
    )
    return ModelMetadata(**facts | changes)


def make_candidate(
    name: str, error: float, excess: float, deviation: float, chosen: bool = False
) -> CandidateScore:
    return CandidateScore(
        name=name,
        mean_absolute_error_hours=error,
        excess_hours=excess,
        standard_error_hours=deviation,
        chosen=chosen,
    )


def make_dataset(rows: int, rejected_rows: int = 0) -> DatasetLineage:
    return DatasetLineage(
        key="datasets/time_to_dispatch_2026-11-20T23-00-00.csv",
        sha256="ab12" * 16,
        delivered_at=datetime(2026, 11, 20, 23, tzinfo=UTC),
        rows=rows,
        rejected_rows=rejected_rows,
    )


def make_facts(
    orders: pd.DataFrame | None = None, hours_per_order: Any = HOURS_PER_ORDER, **changes: Any
) -> ReportFacts:
    """Return the facts of a published first model; changes are those of its metadata."""
    orders = make_orders() if orders is None else orders
    test = orders.iloc[::5]
    slopes = test[PRODUCT].astype(str).map(hours_per_order).to_numpy(dtype=float)
    return ReportFacts(
        version=VERSION,
        metadata=make_metadata(orders, **changes),
        orders=orders,
        is_outlier=np.zeros(len(orders), dtype=bool),
        rejected=pd.DataFrame(columns=[*COLUMNS, REASON]),
        grid=make_grid(orders, hours_per_order),
        champion_hours=None,
        test=test,
        test_estimates=slopes * test[ORDERS].to_numpy(),
    )


def make_drift(breached: bool) -> DriftMeasure:
    return DriftMeasure(
        name="rows this week", value=120.0, least=500.0, most=None, breached=breached
    )


def read(facts: ReportFacts) -> Page:
    return Page(render_report(facts))


def test_every_section_is_there_and_the_verdict_comes_first() -> None:
    page = read(make_facts())

    assert [names["id"] for tag, names, _ in page.elements if tag == "section"] == SECTIONS
    assert [
        (names["href"] or "").lstrip("#")
        for tag, names, _ in page.elements
        if tag == "a" and names["href"] != "#remarks"
    ] == [name for name in SECTIONS[1:] if name != "remarks"]


def test_the_page_needs_no_network_and_no_script() -> None:
    html = render_report(make_facts(comparison=COMPARISON))
    page = Page(html)

    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _, _ in page.elements}
    for _, names, _ in page.elements:
        assert "src" not in names
        assert not any(name.startswith("on") for name in names)
        assert all((names.get(name) or "#").startswith("#") for name in ("href", "xlink:href"))
    assert set(re.findall(r"url\((.)", html)) == {"#"}
    assert "default-src 'none'" in html
    assert "@import" not in html


def test_ids_are_unique_and_every_reference_leads_somewhere() -> None:
    html = render_report(make_facts())
    ids = [names["id"] for _, names, _ in Page(html).elements if "id" in names]

    references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)|labelledby="([^"]+)"', html)

    assert len(ids) == len(set(ids))
    assert {name for names in references for name in names if name} <= set(ids)


def test_every_figure_is_told_in_words() -> None:
    page = read(make_facts())

    labels = [names["aria-label"] for tag, names, _ in page.elements if names.get("role") == "img"]

    assert len(labels) == len(HOURS_PER_ORDER) + 3
    assert "SKU001: " in (labels[0] or "")
    assert "0.00\N{NO-BREAK SPACE}h at 0 orders placed to 23.61\N{NO-BREAK SPACE}h at 319" in (
        labels[0] or ""
    )
    assert "the interval reaches 1.36\N{NO-BREAK SPACE}h" in (labels[0] or "")


def test_the_numbers_are_those_of_the_metadata() -> None:
    page = read(make_facts(dataset=make_dataset(1_000, rejected_rows=3)))

    for words in ("0.65 h", "0.63 h", "0.9877", "± 1.36 h", "90 % of", "1,000", "0.299 % of"):
        assert words in page.text["numbers"]
    assert "off by 0.65 h" in page.text["verdict"]
    assert "0.63 h" in page.text["verdict"]


def test_the_typical_interval_counts_the_noise_of_each_product() -> None:
    facts = make_facts()
    catalogue = facts.metadata.catalogue.model_copy(update={"relative_noise": (2.0,) * 5})

    page = read(replace(facts, metadata=make_metadata(facts.orders, catalogue=catalogue)))

    assert "± 2.72 h" in page.text["numbers"]


def test_a_published_model() -> None:
    page = read(make_facts())

    assert "✔ Published" in page.text["verdict"]
    assert "Nothing has to be done" in page.text["verdict"]
    assert "Refused" not in page.text["verdict"]
    assert page.text[""].count(f"Published: {VERSION}") == 1


def test_a_refused_model_says_why_and_what_to_do() -> None:
    reasons = ("R² 0.5 is below --r2-error-threshold 0.8", "estimates are negative <b>")

    page = read(make_facts(refused_because=reasons))

    assert "✘ Refused" in page.text["verdict"]
    assert "broke 2 rules" in page.text["verdict"]
    assert all(reason in page.text["verdict"] for reason in reasons)
    assert "Look at the dataset first: datasets/time_to_disp" in page.text["verdict"]
    assert "--accept-shift" not in page.text["verdict"]
    assert f"Refused: {VERSION}" in page.text[""]


def test_a_refusal_that_can_be_accepted_says_how() -> None:
    reason = "the estimates moved by more than --max-shift 2; --accept-shift lets it pass"

    page = read(
        make_facts(refused_because=(reason,), drift=(make_drift(True),), comparison=COMPARISON)
    )

    assert "broke 1 rule and" in page.text["verdict"]
    assert "See outliers, drift and rejected rows below" in page.text["verdict"]
    assert "train again with --accept-shift" in page.text["verdict"]
    assert f"The model in use stays {CHAMPION}" in page.text["verdict"]


def test_a_breached_measure_is_marked_in_colour_and_in_words() -> None:
    fine = DriftMeasure(
        name="share of <new> products", value=0.0123, least=None, most=0.1, breached=False
    )
    unknown = DriftMeasure(name="median", value=None, least=0.5, most=2.0, breached=False)

    page = read(make_facts(drift=(make_drift(True), fine, unknown)))

    assert [(kind, fields) for section, kind, fields in page.rows if section == "drift"][1:] == [
        ("breached", ["rows this week", "120", "500", "no limit", "✘ outside"]),
        ("", ["share of <new> products", "0.0123", "no limit", "0.1", "✔ fine"]),
        ("", ["median", "not measured", "0.5", "2", "not measured"]),
    ]
    assert "1 measure of 3 is outside" in page.text["drift"]
    assert "1 measure of it is outside what is normal" in page.text["verdict"]


def test_no_drift() -> None:
    assert (
        "All measures are as they should be"
        in read(make_facts(drift=(make_drift(False),))).text["drift"]
    )
    assert "Not measured: there was no champion" in read(make_facts()).text["drift"]


def test_the_candidates_and_why_one_was_chosen() -> None:
    page = read(make_facts())

    assert page.table("candidates")[1:] == [
        ["Line", "0.7013 h", "0.0502 h", "0.0101 h", "no", ""],
        ["CurveOfFour", "0.6534 h", "0.0023 h", "0.0045 h", "yes", "✔ chosen"],
        ["CurveOfNine", "0.6511 h", "0.0000 h", "0.0000 h", "yes", ""],
    ]
    assert (
        "simplest candidate within one standard error of the best, CurveOfNine"
        in (page.text["candidates"])
    )


def test_the_best_candidate_may_be_the_chosen_one() -> None:
    page = read(make_facts(candidates=(make_candidate("CurveOfFour", 0.6, 0.0, 0.0, True),)))

    assert "It has the smallest error" in page.text["candidates"]


def test_a_champion_is_compared() -> None:
    facts = make_facts(comparison=COMPARISON)
    champion = facts.grid.hours * 1.2
    champion[1] = np.nan
    alone = render_report(facts)

    html = render_report(replace(facts, champion_hours=champion))

    page = Page(html)
    table = page.table("champion")
    assert [row[1] for row in table[:7]] == [
        "199",
        "0.71 h",
        "0.65 h",
        "−0.0712 h",
        "0.63 h",
        "1.23 %",
        "1.04",
    ]
    assert "not worse by more than chance" in table[3][2]
    assert table[8:] == [
        ["SKU003", "1.52", "52 % more hours", "201"],
        ["SKU001", "0.75", "25 % fewer hours", "190"],
        ["SKU002", "1", "the same", "180"],
    ]
    dashes = "#9a4a00; stroke-width: 1.6"
    assert (html.count(dashes), alone.count(dashes)) == (4, 0)
    assert html.count("The champion says 28.33\N{NO-BREAK SPACE}h there") == 1


def test_a_challenger_that_is_worse_than_chance_explains() -> None:
    update = {"least_excess_hours": 0.02, "same_dataset": True}

    page = read(make_facts(comparison=COMPARISON.model_copy(update=update)))

    assert "worse by more than chance explains (99 % sure)" in page.table("champion")[3][2]
    assert "not worse" not in page.table("champion")[3][2]
    assert "Both were trained on the same file" in page.text["champion"]


def test_a_champion_that_knows_none_of_the_products() -> None:
    update = dict(
        compared_rows=0,
        champion_error_hours=None,
        challenger_error_hours=None,
        least_excess_hours=None,
        median_ratio=None,
        shifts=(),
    )

    page = read(make_facts(comparison=COMPARISON.model_copy(update=update)))

    assert "their errors could not be compared" in page.text["champion"]
    assert [row[1] for row in page.table("champion")].count("not measured") == 4


def test_a_first_model_has_nothing_to_compare() -> None:
    assert "Nothing to compare" in read(make_facts()).text["champion"]


def test_outliers_are_listed_and_drawn_unlike_other_rows() -> None:
    facts = with_outliers(make_facts(), 30, farthest=25)

    page = read(facts)

    table = page.table("outliers")
    assert table[1] == ["SKU001", "5", "900.00 h", "0.37 h", "+88.0"]
    assert len(table) == 1 + 20
    assert "shows 20 of 30 outliers: 10 more are not shown" in page.text["outliers"]
    assert "30 rows (3 % of the valid rows)" in page.text["outliers"]
    crosses = [
        names
        for tag, names, section in page.elements
        if tag == "use" and section == "curves" and "#b00020" in (names["style"] or "")
    ]
    assert len(crosses) == 30


def with_outliers(facts: ReportFacts, rows: int, farthest: int) -> ReportFacts:
    orders = facts.orders.copy()
    orders.loc[: rows - 1, HOURS] = 900.0
    outlier = Outlier(
        product_code="SKU001",
        orders_placed=5,
        hours_to_dispatch=900.0,
        est_hours_to_dispatch=0.37,
        distance=88.0,
    )
    outliers = Outliers(rows=rows, share=rows / len(orders), farthest=(outlier,) * farthest)
    return replace(
        facts,
        orders=orders,
        is_outlier=np.arange(len(orders)) < rows,
        metadata=facts.metadata.model_copy(update={"outliers": outliers}),
    )


def test_no_outliers() -> None:
    assert "None. No row is farther than six" in read(make_facts()).text["outliers"]


def test_rejected_rows_are_shown_in_part() -> None:
    rejected = pd.DataFrame(
        {"warehouse": "north", PRODUCT: "SKU001", ORDERS: "-5", HOURS: "<i>2</i>"},
        index=range(25),
    ).assign(**{f"spare_{i}": "" for i in range(6)}, reason="orders_placed is negative")
    facts = make_facts(dataset=make_dataset(1_000, rejected_rows=25))

    page = read(replace(facts, rejected=rejected))

    table = page.table("rejected")
    assert table[0][:5] == [REASON, *COLUMNS, "warehouse"]
    assert table[1][:5] == ["orders_placed is negative", "SKU001", "-5", "<i>2</i>", "north"]
    assert len(table) == 1 + 20
    assert "25 rows of 1,025 could not be used" in page.text["rejected"]
    assert "shows 20 of 25 rejected rows: 5 more" in page.text["rejected"]
    assert "3 other columns of the file are not shown" in page.text["rejected"]


def test_no_rejected_rows() -> None:
    facts = replace(make_facts(), rejected=pd.DataFrame())

    assert "None. Every row of the file" in read(facts).text["rejected"]


def test_remarks_name_the_first_products_and_count_the_rest() -> None:
    codes = tuple(f"P{i}" for i in range(25))
    remarks = ProductRemarks(few_rows=codes, falling=("<b>",), flat=("<b>", "SKU003"))

    page = read(make_facts(remarks=remarks))

    assert "(25 products)" in page.text["remarks"]
    assert "P18, P19 and 5 more" in page.text["remarks"]
    assert "Falling (1 product)" in page.text["remarks"]
    assert "<b>, SKU003" in page.text["remarks"]
    assert "deserve a second look" in page.text["verdict"]
    assert "None. Every product" in read(make_facts()).text["remarks"]


def test_the_lineage_is_complete() -> None:
    words = read(make_facts()).text["lineage"]

    for fact in (
        "datasets/time_to_dispatch_2026-11-20T23-00-00.csv",
        "ab12" * 16,
        "2026-11-20 23:00:00+00:00",
        "2026-11-23 18:49:11.198262+00:00",
        "0b8f187",
        "CurveOfFour",
        "1.9.1",
        "level 90 %, calibrated on 1,234 rows",
        "1.7 · relative noise of the product · (0.8 + 0 · estimate)",
    ):
        assert fact in words
    assert "not recorded" in read(make_facts(git_commit=None)).text["lineage"]


def test_words_from_data_are_escaped_and_cut() -> None:
    attack = '<script>alert("1")</script>'
    odd = "$\\frac{1}$ & 漢字 😀"
    codes = {attack: 0.05, odd: 0.04, "long" * 2_500: 0.03, "two\n\u202elines": 0.02}
    orders = make_orders(400, codes)
    shifts = tuple(ProductShift(product_code=code, ratio=3.0, rows=9) for code in codes)
    remarks = ProductRemarks(few_rows=tuple(codes), falling=(), flat=())

    html = render_report(
        make_facts(
            orders,
            codes,
            remarks=remarks,
            comparison=COMPARISON.model_copy(update={"shifts": shifts}),
        )
    )

    page = Page(html)
    assert "<script" not in html
    assert "longlonglong" in html
    assert "long" * 11 not in html
    assert "\u202e" not in html
    shown = [attack, odd, "long" * 7 + "…" + "onglonglong", "two��lines"]
    assert [row[0] for row in page.table("champion")[8:]] == shown
    assert sorted(page.captions()) == sorted(shown)


def test_few_products_are_all_shown() -> None:
    page = read(make_facts())

    assert page.captions() == sorted(HOURS_PER_ORDER)
    assert "Shown are" not in page.text["curves"]


def many_products(products: int, rows: int) -> ReportFacts:
    """Return facts about products of about equal size, but P7 is largest and P3 the worst."""
    hours_per_order = {f"P{i}": 0.01 + i / (10 * products) for i in range(products)}
    orders = make_orders(rows, hours_per_order)
    more = orders[orders[PRODUCT] == "P7"]
    orders = pd.concat([orders, more, more], ignore_index=True)
    facts = make_facts(orders, hours_per_order)
    estimates = facts.test_estimates + 50.0 * (facts.test[PRODUCT] == "P3").to_numpy()
    return replace(facts, test_estimates=estimates)


def test_of_many_products_the_largest_and_the_worst_are_shown() -> None:
    page = read(many_products(30, 3_000))

    assert len(page.captions()) == len(set(page.captions())) == 12
    assert (page.captions()[0], page.captions()[6]) == ("P7", "P3")
    assert "There are 30 products. Shown are the 6 with the most rows" in page.text["curves"]
    assert "of the others the 6 with the largest mean absolute error" in page.text["curves"]


def test_a_large_week_stays_below_a_megabyte() -> None:
    facts = many_products(300, 200_000)
    shift = ProductShift(product_code="x" * 1_000, ratio=9.0, rows=1)
    codes = facts.metadata.catalogue.product_code
    facts = with_outliers(facts, 10_000, farthest=100)
    changes = dict(
        comparison=COMPARISON.model_copy(update={"shifts": (shift,) * 100}),
        remarks=ProductRemarks(few_rows=codes, falling=codes, flat=codes),
    )
    metadata = facts.metadata.model_copy(update=changes)
    champion = facts.grid.hours + 1.0

    html = render_report(replace(facts, metadata=metadata, champion_hours=champion))

    assert len(html.encode()) < 600_000
    assert "shows 20 of 100 recorded products" in Page(html).text["champion"]
    assert re.search(r"dots are 1,500 of [\d,]+ test rows", Page(html).text["errors"])


def test_the_same_facts_give_the_same_page() -> None:
    assert render_report(many_products(20, 20_000)) == render_report(many_products(20, 20_000))


def orders_of(rows: Sequence[tuple[str, float, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS).astype({PRODUCT: "category"})


@pytest.mark.parametrize(
    "orders",
    [
        orders_of([("A", 3.0, 2.0)] * 10),
        orders_of([("A", 0.0, 0.0)] * 10),
        orders_of([("A", float(i), 2.0) for i in range(20)] + [("B", 4.0, 2.0)]),
        orders_of([("A", 1e4 * i, 1e3 * i) for i in range(101)]),
    ],
    ids=["one point", "zeros", "a product with one row and none to test", "the largest numbers"],
)
def test_odd_weeks(orders: pd.DataFrame) -> None:
    hours_per_order = {"A": 0.1, "B": 0.0}
    facts = make_facts(orders, hours_per_order)
    metrics = facts.metadata.metrics.model_copy(update={"r_squared": None})
    test = facts.test[facts.test[PRODUCT] == "A"]

    page = read(
        replace(
            facts,
            metadata=make_metadata(orders, metrics=metrics),
            test=test,
            test_estimates=0.1 * test[ORDERS].to_numpy(),
        )
    )

    assert "not defined" in page.text["numbers"]
    assert page.captions() == sorted(set(orders[PRODUCT]))
    without_test_rows = "not measured" in page.text["curves"]
    assert without_test_rows == ("B" in set(orders[PRODUCT]))
    assert not re.search(r"\b(nan|inf)\b", " ".join(page.text.values()))


def test_an_outlier_beyond_the_axis_does_not_flatten_the_figure() -> None:
    page = read(with_outliers(make_facts(), 10, farthest=1))

    largest_tick = max(map(float, re.findall(r"\n +(\d+)\n", page.text["curves"])))

    assert largest_tick <= 320


def test_a_few_large_errors_do_not_squeeze_the_histogram_into_one_bar() -> None:
    facts = make_facts()
    estimates = facts.test_estimates.copy()
    estimates[0] += 500.0

    html = render_report(replace(facts, test_estimates=estimates))

    histogram = html[html.index('<svg role="img" aria-label="Histogram') :]
    ticks = [float(tick.replace("−", "-")) for tick in re.findall(r">(−?[\d.]+)</text>", histogram)]
    assert min(ticks) > -5

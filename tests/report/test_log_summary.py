"""What the log says of a trained model: the table, and the warnings after it."""

from typing import Any

import pytest

from pipeline.model.metadata import CandidateScore
from pipeline.report.log_summary import log_summary
from tests.support.builders import KEPT, SKILL, comparison, metadata
from tests.support.helpers import logged

FACTS: dict[str, Any] = {
    "regressor": "line per product",
    "candidates": [
        dict(zip(CandidateScore.model_fields, score, strict=True))
        for score in [
            ("mean per product", 4.912, 4.258, 0.127, False, ()),
            ("line per product", 0.6572, 0.003, 0.006, True, ()),
            ("curve per product", 0.654, 0.0, 0.0, False, ["skill", "falling_estimates"]),
        ]
    ],
    "dataset": {"rows": 1_234},
    "metrics": {
        "r_squared": 0.98864,
        "mean_absolute_error_hours": 0.625,
        "noise_floor_hours": 0.646,
        "train_rows": 1_003,
        "test_rows": 231,
        "r_squared_with_outliers": 0.5,
        "mean_absolute_error_with_outliers_hours": 1.25,
    },
    "skill": SKILL,
    "interval": {
        "lower_multiple": 0.9,
        "upper_multiple": 1.604,
        "noise_base_hours": 0.812,
        "noise_growth": 0.0012,
    },
    "outliers": {"rows": 12, "share": 0.0097},
}
"""Of a first model."""


def test_the_table_of_a_first_model(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    log_summary(metadata(**FACTS))

    assert logged(caplog, "INFO") == [
        "Trained a line per product of typical hours on 1,234 rows of 3 products.",
        "  mean per product     cross-validated error   4.912 h (+4.258 h ± 0.127 h)",
        "  line per product     cross-validated error   0.657 h (+0.003 h ± 0.006 h, chosen)",
        "  curve per product    cross-validated error   0.654 h (best, passed over for skill and "
        "falling_estimates)",
        "R² 0.9886, mean absolute error 0.62 h (noise floor 0.65 h): fitted on 1,003 rows and "
        "tested on 231 others.",
        "With outliers: R² 0.5000, mean absolute error 1.25 h.",
        "The best guess without a model, the median per product, has an error of 5.00 h where the "
        "model has 0.60 h.",
        "Intervals of 90%: 0.90 times the noise below the estimate and 1.60 times above it; the "
        "noise is 0.81 h + 0.1% of the estimate. "
        "Outliers: 12 rows (1.0%).",
        "How far estimates move from one week to the next cannot be known yet: the intervals hold "
        "in their own week.",
    ]
    assert logged(caplog, "WARNING") == []


def test_what_is_allowed_for_in_the_next_week_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    log_summary(metadata(interval={"movement": 0.1, "weeks_after": 3}))

    assert (
        "For the next week the intervals allow for estimates that are off by 10.0%, as 3 earlier "
        "weeks showed."
    ) in logged(caplog, "INFO")


def test_r_squared_that_is_not_defined_or_of_few_rows_is_called_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")

    log_summary(metadata(metrics={"r_squared": None, "test_rows": 29}))

    assert "R² undefined, mean absolute error 0.50 h" in caplog.text
    assert "tested on 29 others, which are too few to rely on." in caplog.text


def test_the_step_of_the_hours_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    log_summary(metadata(dataset={"step_hours": 12.0}))

    assert "The hours come in steps of 12." in logged(caplog, "INFO")


def test_products_with_steps_of_their_own_are_told_by_step(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    steps = {"SKU001": 12.0, "SKU002": 24.0, "SKU003": 12.0}
    in_steps = [{"product_code": code, "step_hours": step} for code, step in steps.items()]

    log_summary(metadata(remarks={"in_steps": in_steps}))

    assert "The hours of 'SKU001', 'SKU003' come in steps of 12." in logged(caplog, "INFO")
    assert "The hours of 'SKU002' come in steps of 24." in logged(caplog, "INFO")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"label_hours": 4.0}, "'SKU001' (31% of its 2,000 rows are at 4 h)"),
        ({"distance_hours": 24.04}, "'SKU001' (31% of its 2,000 rows are about 24 h above the est"),
        ({"distance_hours": -9.0}, "'SKU001' (31% of its 2,000 rows are about 9 h below the est"),
    ],
)
def test_products_with_orders_of_two_kinds_are_warned_of(
    facts: dict[str, float], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    mixed = {"product_code": "SKU001", "rows": 2000, "share": 0.31, **facts}

    log_summary(metadata(remarks={"kinds": [mixed]}))

    (warning,) = logged(caplog, "WARNING")
    assert words in warning


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (
            {},
            "The model in production has an error of 0.71 h on the same rows, the new one of "
            "0.65 h. The estimates are 1 times those of",
        ),
        ({"same_dataset": True}, "has an error of 0.71 h recorded, the new one of 0.65 h. "),
        (
            {
                "compared_rows": 0,
                "champion_error_hours": None,
                "challenger_error_hours": None,
                "least_excess_hours": None,
                "median_ratio": None,
            },
            "How the estimates moved since the model in production (time_to_dispatch_champion) is "
            "unknown",
        ),
    ],
    ids=["another week", "the same week", "other products"],
)
def test_the_last_line_compares_with_the_champion(
    facts: dict[str, Any], line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    errors = {"champion_error_hours": 0.71, "challenger_error_hours": 0.65}
    log_summary(metadata(comparison=comparison(**errors | facts)))

    assert line in logged(caplog, "INFO")[-1]
    assert len(logged(caplog, "WARNING")) == (1 if facts else 0)


def test_what_deserves_a_look_is_a_warning_each(caplog: pytest.LogCaptureFixture) -> None:
    name = "Share of rows of new products"
    fine = {"name": name, "value": 0.05, "least": None, "most": 0.1, "breached": False}
    breached = fine | {"value": 0.2, "breached": True}
    remarks = {
        "few_rows": ["SKU001"],
        "falling": ["SKU002"],
        "flat": ["SKU002", "SKU003"],
        "wide": ["SKU004"],
        "unfit": ["SKU005"],
        "unskilled": ["SKU009"],
        "biased": ["SKU010"],
        "surprising": ["SKU006"],
        "swapped": ["SKU007", "SKU008"],
    }

    log_summary(metadata(remarks=remarks, drift=[fine, breached]))

    few_rows, falling, flat, wide, unfit, *doubts, drift = logged(caplog, "WARNING")
    unskilled, biased, surprising, swapped = doubts
    assert few_rows.startswith("Products with few rows") and few_rows.endswith(": 'SKU001'.")
    assert falling == "Products with a slope of zero, since hours fall as orders rise: 'SKU002'."
    assert flat.endswith("the same estimate for every number of orders: 'SKU002', 'SKU003'.")
    assert wide.endswith("since fewer orders than promised were inside: 'SKU004'.")
    assert unfit.endswith("for which the estimates are far off: 'SKU005'.")
    assert unskilled.endswith("than their own mean or median has: 'SKU009'.")
    assert biased.endswith("too low or too high on average: 'SKU010'.")
    assert surprising.endswith("that was far off for most of the orders: 'SKU006'.")
    assert swapped.endswith("as if their codes were swapped: 'SKU007', 'SKU008'.")
    assert drift.startswith("Share of rows of new products is 0.2, above 0.1")


@pytest.mark.parametrize(
    ("copies", "found"),
    [(3, "The week seems to be in the file 3 times"), (1, "Rows seem to be in the file several")],
)
def test_repeated_rows_are_warned_of(
    copies: int, found: str, caplog: pytest.LogCaptureFixture
) -> None:
    repeated = {"share": 0.667, "by_chance": 0.012, "copies": copies, "breached": True}

    log_summary(metadata(dataset={"repeated": repeated}))

    (warning,) = logged(caplog, "WARNING")
    assert warning.startswith(found)
    assert "66.7% of the rows are exactly like an earlier one, and chance explains 1.2%" in warning


def test_products_without_orders_are_named_with_what_becomes_of_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    dropped = {"reason": "retired by ttd-models", "product_code": ["OLD", "OLDER"]}

    log_summary(metadata(earlier_weeks=[KEPT], dropped=[dropped], remarks={"retired": ["SKU003"]}))

    assert "rows of 2 products." in logged(caplog, "INFO")[0]
    assert logged(caplog, "INFO")[-1] == (
        "Kept, without orders this week: 1 product with the curve from 2026-11-13, until "
        "2027-01-08: 'SKU002'."
    )
    assert logged(caplog, "WARNING") == [
        "Products with orders this week, though they were retired: 'SKU003'.",
        "Dropped, with no estimates any more: 2 products retired by ttd-models: 'OLD', 'OLDER'.",
    ]


def test_codes_that_are_written_otherwise_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    apart = {"product_code": [], "share": 0, "by_chance": 0}
    rewritten = [{"before": "SKU001", "now": "sku001", "both": True}]

    log_summary(
        metadata(catalogue_change={"vanished": apart, "new": apart, "rewritten": rewritten})
    )

    assert logged(caplog, "WARNING") == [
        "Codes are written in another way: 'sku001' stands beside 'SKU001'."
    ]

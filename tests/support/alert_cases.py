"""What Prometheus may see of the service, and which alerts should fire then.

Values are in promtool's notation: `0+6x60` starts at 0 and rises by 6 for 60 steps, `_x24` is
nothing for 24 steps, and `stale` is the end of a series.
"""

from typing import NamedTuple

from tests.support.service_fixtures import BATCH, V0_1, V0_2

DAY = 24 * 3600
POD = 'namespace="time-to-dispatch", job="serve-model", pod="a"'
NEXT_POD = POD.replace('"a"', '"b"')
TRAINED = "ttd_model_trained_timestamp_seconds"
DELIVERED = "ttd_dataset_delivered_timestamp_seconds"
QUIET = {
    f"{TRAINED}{{{POD}}}": f"{-DAY}+600x1000",
    f"{DELIVERED}{{{POD}}}": f"{-DAY}+600x1000",
    f"ttd_predictions_total{{{POD}, product_code='SKU001'}}": "0x1000",
    f"ttd_extrapolations_total{{{POD}}}": "0x1000",
}
"""A pod that is well, and that nobody asks: the values of its series, step by step."""
Series = dict[str, str]


def aged(seconds: int) -> str:
    """Return times that stay so long ago, for 60 steps of a minute; promtool begins at zero."""
    return f"{-seconds}+60x60"


def requests(status: int, values: str, route: str = V0_1) -> Series:
    """Return a series of requests."""
    return {f'ttd_requests_total{{{POD}, route="{route}", status="{status}"}}': values}


def latencies(route: str, **counts: int) -> Series:
    """Return the buckets of a route: how many requests a minute were at most so long."""
    return {
        f'ttd_request_seconds_bucket{{{POD}, route="{route}", le="{end}"}}': f"0+{count}x60"
        for end, count in zip(("0.05", "0.1", "0.2", "+Inf"), counts.values(), strict=True)
    }


def estimates(percent_before: int, percent_now: int) -> Series:
    """Return a hundred estimates a step, of which so many are extrapolated up to step 500."""
    then = percent_before * 500
    return {
        f"ttd_predictions_total{{{POD}, product_code='SKU001'}}": "0+100x1000",
        f"ttd_extrapolations_total{{{POD}}}": (
            f"0+{percent_before}x500 {then + percent_now}+{percent_now}x1000"
        ),
    }


ROLLING_UPDATE = {
    f"{TRAINED}{{{POD}}}": f"{900 - 8 * DAY}x30 stale",
    f"{TRAINED}{{{NEXT_POD}}}": f"_x24 {24 * 60 - 60}x100",
    f"{DELIVERED}{{{POD}}}": f"{900 - 8 * DAY}x30 stale",
    f"{DELIVERED}{{{NEXT_POD}}}": f"_x24 {24 * 60 - 3600}x100",
    f'ttd_requests_total{{{POD}, route="{V0_1}", status="200"}}': "90000+3000x30 stale",
    f'ttd_requests_total{{{NEXT_POD}, route="{V0_1}", status="200"}}': "_x24 0+3000x100",
    f'ttd_requests_total{{{POD}, route="/readyz", status="503"}}': "_x27 10+10x3 stale",
}
"""A pod takes over from another in the first quarter of an hour of its ninth day."""


class Case(NamedTuple):
    """What Prometheus sees, and which alerts fire.

    Attributes:
        series: beside or instead of those of a quiet pod.
        at: at which step.
        firing: what the summary tells of the value, by alert.
        minutes: from one step to the next.
    """

    series: Series
    at: int
    firing: dict[str, str]
    minutes: int = 1


CASES = {
    "nobody asks": Case({}, 60, {}),
    "no pod ever": Case(dict.fromkeys(QUIET, "_x60"), 4, {"TtdServiceDown": ""}),
    "gone for two minutes": Case(dict.fromkeys(QUIET, "1x30 stale"), 33, {}),
    "gone for longer": Case(dict.fromkeys(QUIET, "1x30 stale"), 35, {"TtdServiceDown": ""}),
    "2 % of the requests fail": Case(
        requests(200, "0+98x60") | requests(500, "0+2x60"), 20, {"TtdErrors": "2%"}
    ),
    "few requests, and all fail": Case(requests(503, "0 0 1+1x60"), 20, {"TtdErrors": "100%"}),
    "half a per cent fail": Case(requests(200, "0+995x60") | requests(500, "0+5x60"), 60, {}),
    "failing for less than ten minutes": Case(
        requests(200, "0+98x60") | requests(500, "0+0x10 2+2x60"), 18, {}
    ),
    "clients make mistakes": Case(requests(422, "0+50x60") | requests(200, "0+50x60"), 60, {}),
    "not ready, and asked often": Case(
        requests(503, "0+60x60", "/readyz") | requests(200, "0+1x60"), 60, {}
    ),
    "a counter begins anew": Case(
        requests(200, "9000+98x30 0+98x30") | requests(500, "900x30 0x30"), 35, {}
    ),
    "2 % take 0.1 to 0.2 s": Case(
        latencies(V0_2, a=90, b=98, c=100, d=100), 30, {"TtdSlow": "150ms"}
    ),
    "half a per cent take so long": Case(latencies(V0_2, a=900, b=995, c=1000, d=1000), 60, {}),
    "batches take longer": Case(latencies(BATCH, a=0, b=0, c=0, d=100), 60, {}),
    "nobody asks for single estimates": Case(latencies(V0_1, a=0, b=0, c=0, d=0), 60, {}),
    "the model is eight days old": Case({f"{TRAINED}{{{POD}}}": aged(8 * DAY)}, 60, {}),
    "the model is older": Case(
        {f"{TRAINED}{{{POD}}}": aged(8 * DAY + 1)}, 20, {"TtdModelTooOld": "8d 0h 0m 1s"}
    ),
    "the dataset is older": Case(
        {f"{DELIVERED}{{{POD}}}": aged(9 * DAY)},
        20,
        {"TtdDatasetTooOld": "9d 0h 0m 0s"},
    ),
    "the model is dated a year ahead": Case(
        {f"{TRAINED}{{{POD}}}": aged(-365 * DAY)}, 20, {"TtdAgeImpossible": "-365d 0h 0m 0s"}
    ),
    "the dataset is dated two days ahead": Case(
        {f"{DELIVERED}{{{POD}}}": aged(-2 * DAY)},
        20,
        {"TtdAgeImpossible": "-2d 0h 0m 0s"},
    ),
    "the clock is five minutes behind, and in another zone it is tomorrow": Case(
        {
            f"{TRAINED}{{{POD}}}": aged(-300),
            f"{DELIVERED}{{{POD}}}": aged(-14 * 3600),
        },
        20,
        {},
    ),
    "the webhook did not take two alerts": Case(
        {
            f"ttd_undelivered_alerts{{{POD}}}": "0 2x60",
            f"ttd_undelivered_alerts{{{NEXT_POD}}}": "0x61",
        },
        20,
        {"TtdAlertsUndelivered": "2"},
    ),
    "nobody asked the store for alerts": Case(
        {f"ttd_undelivered_alerts{{{POD}}}": "NaN NaN NaN"}, 2, {}
    ),
    "one of two pods kept the old model": Case(
        {f"{TRAINED}{{{NEXT_POD}}}": aged(9 * DAY)}, 20, {"TtdModelTooOld": "9d 0h 0m 0s"}
    ),
    "in the rolling update": Case(ROLLING_UPDATE, 29, {}),
    "just after the rolling update": Case(ROLLING_UPDATE, 32, {}),
    "extrapolations rise from 2 to 15 %": Case(
        estimates(2, 15), 510, {"TtdExtrapolations": "15%"}, minutes=20
    ),
    "extrapolations rose two days ago": Case(
        estimates(2, 15), 650, {"TtdExtrapolations": "15%"}, minutes=20
    ),
    "extrapolations have just risen": Case(estimates(2, 90), 502, {}, minutes=20),
    "extrapolations are at 15 % in the first week": Case(
        estimates(15, 15), 10, {"TtdExtrapolations": "15%"}, minutes=20
    ),
    "extrapolations rise from 10 to 15 %": Case(estimates(10, 15), 510, {}, minutes=20),
    "extrapolations rise from 1 to 9 %": Case(estimates(1, 9), 510, {}, minutes=20),
}

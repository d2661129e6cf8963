"""Settings: defaults < environment < command line, and what wrong ones get."""

from collections.abc import Callable, Sequence

import pytest
from pydantic import ValidationError

from pipeline.stages.settings import SAMPLE_STORE, ServeSettings, StageSettings, TrainSettings

WEBHOOK = "https://hooks.example/services/T0000-SECRET"
LIMITS = {
    "r2_error_threshold": (["0.0001", "0.9"], ["0", "1.1"]),
    "r2_warning_threshold": (["0.8", "1"], ["0", "1.1", "nan", "high"]),
    "max_rejected_share": (["0", "0.9999"], ["-0.1", "1"]),
    "max_outlier_share": (["0", "0.9999"], ["-0.1", "1", "nan", "inf"]),
    "interval_level": (["0.0001", "0.9999"], ["0", "1", "nan", "inf"]),
    "champion_tolerance": (["0", "1000"], ["-0.1", "nan", "inf"]),
    "weeks": (["1", "52"], ["0", "1.5", "inf"]),
    "max_unfit_share": (["0", "1"], ["-0.1", "1.1", "nan"]),
    "max_shift": (["1.0001", "1000"], ["1", "nan", "inf"]),
    "max_vanished_share": (["0", "1"], ["-0.1", "1.1", "nan"]),
    "max_new_share": (["0", "1"], ["-0.1", "1.1", "nan"]),
}
"""Values just inside and just outside of what a setting may be."""
FLAGS = ["accept_shift", "ignore_champion"]

Refusal = Callable[..., str]


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Return what is printed when settings are refused, with exit code 2."""

    def of(arguments: Sequence[str], settings: type[StageSettings] = TrainSettings) -> str:
        with pytest.raises(SystemExit) as end:
            settings.from_arguments(arguments)
        assert end.value.code == 2
        return capsys.readouterr().err

    return of


def option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def test_without_arguments_the_defaults_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    # The arguments of the process are not those of the stage.
    monkeypatch.setattr("sys.argv", ["pytest", "--unknown", "s3://bucket"])

    assert TrainSettings.from_arguments([]).model_dump() == {
        "log_level": "INFO",
        "log_format": "text",
        "store": str(SAMPLE_STORE),
        "store_seconds": 60.0,
        "r2_error_threshold": None,
        "r2_warning_threshold": 0.9,
        "max_rejected_share": 0.01,
        "max_outlier_share": 0.05,
        "interval_level": 0.9,
        "estimate": "typical",
        "champion_tolerance": 0.05,
        "max_shift": 2,
        "max_trend": 1.4,
        "max_unfit_share": 0.05,
        "max_vanished_share": 0.1,
        "max_new_share": 0.3,
        "on_drift": "warn",
        "accept_shift": False,
        "keep_weeks": 8,
        "weeks": 1,
        "jobs": 1,
        "scheduler": None,
        "scratch": None,
        "dataset_key": None,
        "retrain": False,
        "ignore_champion": False,
        "public_url": None,
        "trained_at": None,
        "on_refusal": "fail",
        "alert_webhook": None,
    }


def test_the_command_line_overrides_the_environment_and_that_the_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TTD_STORE", "s3://bucket/prefix")
    monkeypatch.setenv("TTD_PORT", "9000")
    monkeypatch.setenv("TTD_LOG_FORMAT", "json")

    settings = ServeSettings.from_arguments(["--port", "9001", "--model-key", "m"])

    assert (settings.store, settings.log_format) == ("s3://bucket/prefix", "json")
    assert (settings.port, settings.model_key) == (9001, "m")


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_is_an_option_without_value_or_a_variable_with_one(
    name: str, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    variable = f"TTD_{name.upper()}"

    assert getattr(TrainSettings.from_arguments([option(name)]), name) is True
    monkeypatch.setenv(variable, "true")
    assert getattr(TrainSettings.from_arguments([]), name) is True
    assert getattr(TrainSettings.from_arguments([option(f"no-{name}")]), name) is False
    monkeypatch.setenv(variable, "perhaps")
    assert f"(or {variable}) is 'perhaps': " in refusal([])


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, (allowed, _) in LIMITS.items() for value in allowed]
)
def test_values_inside_the_limits_are_accepted(name: str, value: str) -> None:
    settings = TrainSettings.from_arguments([option(name), value])

    assert getattr(settings, name) == float(value)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, (_, wrong) in LIMITS.items() for value in wrong]
)
def test_values_outside_the_limits_are_refused(name: str, value: str, refusal: Refusal) -> None:
    start = f"python -m pipeline.train_model: error: {option(name)} (or TTD_{name.upper()})"

    assert f"{start} is '{value}': input should be " in refusal([option(name), value])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--on-refusal", "stop"], ["TTD_ON_REFUSAL", "'stop'", "'fail' or 'keep'"]),
        (["--log-level", "LOUD"], ["--log-level", "'LOUD'", "'DEBUG', 'INFO'"]),
        (
            ["gs://bucket"],
            ["STORE (or TTD_STORE) is 'gs://bucket': should be s3://bucket[/prefix]"],
        ),
        (["s3://"], ["STORE", "'s3://'", "s3://bucket[/prefix]"]),
        ([""], ["STORE", "''", "s3://bucket[/prefix]"]),
        (
            ["--r2-error-threshold", "0.9", "--r2-warning-threshold", "0.7"],
            ["--r2-error-threshold (0.9)", "not be above", "--r2-warning-threshold (0.7)"],
        ),
        (
            ["--r2-error-threshold", "2", "--max-rejected-share", "3"],
            ["--r2-error-threshold", "--max-rejected-share"],
        ),
        (["--scheduler", "10.0.0.1", "--scratch", "/s"], ["--scheduler", "an address with a port"]),
        (["--scheduler", "tcp://10.0.0.1:8786"], ["--scheduler needs --scratch"]),
        (
            ["--scheduler", "tcp://10.0.0.1:8786", "--scratch", "/s", "--jobs", "2"],
            ["--jobs", "leave one of them out"],
        ),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(
    arguments: list[str], words: list[str], refusal: Refusal
) -> None:
    message = refusal(arguments)

    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("key", ["models/../a.onnx", "..", "/a.onnx", "a\nb.onnx", "a\r.onnx"])
@pytest.mark.parametrize(
    ("option", "settings"), [("model-key", ServeSettings), ("dataset-key", TrainSettings)]
)
def test_what_is_no_key_is_refused(
    option: str, settings: type[StageSettings], key: str, refusal: Refusal
) -> None:
    message = refusal([f"--{option}", key], settings)

    assert f"--{option} (or TTD_" in message and f"is {key!r}: should be the key of a " in message


def test_all_wrong_variables_are_named(monkeypatch: pytest.MonkeyPatch, refusal: Refusal) -> None:
    monkeypatch.setenv("TTD_STORE", "")
    monkeypatch.setenv("TTD_PORT", "70000")

    message = refusal([], ServeSettings)

    assert "STORE (or TTD_STORE) is '': should be s3://bucket" in message
    assert "--port (or TTD_PORT) is '70000': " in message


@pytest.mark.parametrize("moment", ["2026-11-23T18:49:11", "2999-01-01T00:00:00Z", "1969-12-31Z"])
def test_a_time_without_zone_or_outside_of_the_past_is_refused(
    moment: str, refusal: Refusal
) -> None:
    assert f"--trained-at (or TTD_TRAINED_AT) is '{moment}': " in refusal(["--trained-at", moment])


@pytest.mark.parametrize("given", [WEBHOOK, f" {WEBHOOK}\n"])
def test_a_webhook_is_known_but_not_shown(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTD_ALERT_WEBHOOK", given)

    settings = TrainSettings.from_arguments([])

    assert settings.webhook_url == given.strip()
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "alert_webhook" in shown
        assert given.strip() not in shown


def test_the_word_none_stands_for_no_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTD_ALERT_WEBHOOK", "none")

    assert TrainSettings.from_arguments([]).webhook_url is None


@pytest.mark.parametrize("wrong", ["SECRET", "ftp://host/SECRET", "https:///SECRET", '["SECRET"]'])
def test_a_wrong_webhook_is_refused_without_showing_it(
    wrong: str, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    by_option = refusal(["--alert-webhook", wrong, "--max-shift", "0"])
    monkeypatch.setenv("TTD_ALERT_WEBHOOK", wrong)
    by_variable = refusal(["--r2-error-threshold", "0.95"])
    with pytest.raises(ValidationError) as without_command_line:
        TrainSettings()

    for message in (by_option, by_variable):
        assert "--alert-webhook (or TTD_ALERT_WEBHOOK) is wrong: should be a URL" in message
    assert "SECRET" not in by_option + by_variable + str(without_command_line.value)


def test_settings_cannot_be_changed() -> None:
    settings = TrainSettings.from_arguments([])

    with pytest.raises(ValidationError, match="frozen"):
        settings.store = "s3://bucket"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ("", []),
        ("*", ["*"]),
        ("https://shop.example", ["https://shop.example"]),
        (
            " https://Shop.Example:443 ,http://[::1]:3000",
            ["https://shop.example", "http://[::1]:3000"],
        ),
        (
            "http://a:80,https://a:80,capacitor://localhost",
            ["http://a", "https://a:80", "capacitor://localhost"],
        ),
    ],
)
def test_origins_are_written_as_browsers_send_them(given: str, allowed: list[str]) -> None:
    settings = ServeSettings.from_arguments(["--cors-origins", given])

    assert list(settings.allowed_origins) == allowed


@pytest.mark.parametrize(
    "wrong",
    [
        *("https://shop.example/", "https://shop.example/page", "shop.example", "null", "//shop"),
        *("https://*.shop.example", "*,https://shop.example", "https://a https://b", "https://a,"),
        *("https://bücher.example", "https://me@shop.example", "https://shop.example:", " "),
    ],
)
def test_what_no_browser_sends_as_origin_is_refused(wrong: str, refusal: Refusal) -> None:
    message = refusal(["--cors-origins", wrong], ServeSettings)

    assert f"--cors-origins (or TTD_CORS_ORIGINS) is {wrong!r}: should be * alone, or " in message


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("::", "::"),
        ("[::]", "::"),
        ("0:0:0:0:0:0:0:0", "::"),
        ("[::1]", "::1"),
        ("0.0.0.0", "0.0.0.0"),
        ("localhost", "localhost"),
    ],
)
def test_an_address_has_one_form(given: str, host: str) -> None:
    assert ServeSettings.from_arguments(["--host", given]).host == host


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_address_does_not_open_the_service_to_every_network(
    empty: str, refusal: Refusal
) -> None:
    message = refusal(["--host", empty], ServeSettings)

    assert "--host (or TTD_HOST) is '" in message
    assert "should be an address to listen on; :: means every network" in message

"""Settings: defaults < environment < command line, and what wrong ones get."""

import pytest
from pydantic import ValidationError

from pipeline.stages.settings import SAMPLE_STORE, ServeSettings, TrainSettings

WEBHOOK = "https://hooks.example/services/T0000-SECRET"


def test_without_arguments_the_sample_store_is_used() -> None:
    settings = TrainSettings.from_arguments([])

    assert settings.store == str(SAMPLE_STORE)
    assert settings.r2_error_threshold == 0.8
    assert settings.r2_warning_threshold == 0.9
    assert settings.max_rejected_share == 0.01
    assert (settings.log_level, settings.log_format) == ("INFO", "text")
    assert settings.max_outlier_share == 0.05
    assert settings.interval_level == 0.9
    assert settings.champion_tolerance == 0.05
    assert settings.max_shift == 2
    assert (settings.accept_shift, settings.ignore_champion) == (False, False)
    assert settings.on_refusal == "fail"
    assert settings.alert_webhook is None


def test_the_environment_overrides_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTD_STORE", "s3://bucket/prefix")
    monkeypatch.setenv("TTD_R2_ERROR_THRESHOLD", "0.5")
    monkeypatch.setenv("TTD_LOG_FORMAT", "json")

    settings = TrainSettings.from_arguments([])

    assert settings.store == "s3://bucket/prefix"
    assert settings.r2_error_threshold == 0.5
    assert settings.log_format == "json"


def test_the_command_line_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTD_STORE", "s3://other")
    monkeypatch.setenv("TTD_PORT", "9000")

    settings = ServeSettings.from_arguments(["s3://bucket", "--port", "9001", "--model-key", "m"])

    assert (settings.store, settings.port, settings.model_key) == ("s3://bucket", 9001, "m")


@pytest.mark.parametrize("name", ["accept_shift", "ignore_champion"])
def test_a_flag_is_an_option_without_value_or_a_variable_with_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    option, variable = name.replace("_", "-"), f"TTD_{name.upper()}"

    assert getattr(TrainSettings.from_arguments([f"--{option}"]), name) is True
    monkeypatch.setenv(variable, "true")
    assert getattr(TrainSettings.from_arguments([]), name) is True
    assert getattr(TrainSettings.from_arguments([f"--no-{option}"]), name) is False
    monkeypatch.setenv(variable, "0")
    assert getattr(TrainSettings.from_arguments([]), name) is False


def test_a_refusal_may_keep_the_champion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTD_ON_REFUSAL", "keep")

    assert TrainSettings.from_arguments([]).on_refusal == "keep"
    assert TrainSettings.from_arguments(["--on-refusal", "fail"]).on_refusal == "fail"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("interval_level", 0.0001),
        ("interval_level", 0.9999),
        ("max_outlier_share", 0),
        ("max_outlier_share", 0.9999),
        ("champion_tolerance", 0),
        ("champion_tolerance", 1000),
        ("max_shift", 1.0001),
        ("max_shift", 1000),
    ],
)
def test_values_next_to_the_limits_are_accepted(name: str, value: float) -> None:
    option = f"--{name.replace('_', '-')}"

    settings = TrainSettings.from_arguments([option, str(value)])

    assert getattr(settings, name) == value


@pytest.mark.parametrize("given", [WEBHOOK, f" {WEBHOOK}\n", "http://localhost:8065/hooks/x"])
def test_a_webhook_is_known_but_not_shown(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTD_ALERT_WEBHOOK", given)

    settings = TrainSettings.from_arguments([])

    assert settings.alert_webhook is not None
    assert settings.alert_webhook.get_secret_value() == given.strip()
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "alert_webhook" in shown
        assert given.strip() not in shown


@pytest.mark.parametrize("nothing", ["", " ", "\n"])
def test_an_empty_webhook_is_none(nothing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTD_ALERT_WEBHOOK", nothing)

    assert TrainSettings.from_arguments([]).alert_webhook is None
    assert TrainSettings.from_arguments(["--alert-webhook", nothing]).alert_webhook is None


@pytest.mark.parametrize("wrong", ["SECRET", "ftp://host/SECRET", "https:///SECRET", '["SECRET"]'])
def test_a_wrong_webhook_is_refused_without_showing_it(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as by_option:
        TrainSettings.from_arguments(["--alert-webhook", wrong, "--max-shift", "0"])
    monkeypatch.setenv("TTD_ALERT_WEBHOOK", wrong)
    with pytest.raises(SystemExit) as by_variable:
        TrainSettings.from_arguments(["--r2-error-threshold", "0.95"])
    with pytest.raises(ValidationError) as without_command_line:
        TrainSettings()

    message = capsys.readouterr().err
    assert by_option.value.code == by_variable.value.code == 2
    assert message.count("--alert-webhook (or TTD_ALERT_WEBHOOK) is wrong: should be a URL") == 2
    assert "SECRET" not in message
    assert "SECRET" not in str(without_command_line.value)


def test_an_empty_variable_does_not_stand_for_the_sample_store(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTD_STORE", "")

    with pytest.raises(SystemExit):
        TrainSettings.from_arguments([])

    assert "STORE (or TTD_STORE) is '': should be s3://bucket" in capsys.readouterr().err


def test_the_arguments_of_the_process_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["pytest", "--unknown", "s3://bucket"])

    assert TrainSettings.from_arguments([]).store == str(SAMPLE_STORE)


def test_settings_cannot_be_changed() -> None:
    settings = TrainSettings.from_arguments([])

    with pytest.raises(ValidationError, match="frozen"):
        settings.store = "s3://bucket"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--r2-error-threshold", "0"], ["--r2-error-threshold", "'0'", "greater than 0"]),
        (["--r2-error-threshold", "1.1"], ["TTD_R2_ERROR_THRESHOLD", "'1.1'", "equal to 1"]),
        (["--r2-warning-threshold", "nan"], ["--r2-warning-threshold", "'nan'"]),
        (["--r2-warning-threshold", "high"], ["--r2-warning-threshold", "'high'", "number"]),
        (["--max-rejected-share", "1"], ["--max-rejected-share", "'1'", "less than 1"]),
        (["--max-rejected-share", "-0.1"], ["--max-rejected-share", "'-0.1'", "equal to 0"]),
        (["--interval-level", "0"], ["--interval-level", "'0'", "greater than 0"]),
        (["--interval-level", "1"], ["TTD_INTERVAL_LEVEL", "'1'", "less than 1"]),
        (["--interval-level", "nan"], ["--interval-level", "'nan'"]),
        (["--interval-level", "inf"], ["--interval-level", "'inf'", "less than 1"]),
        (["--max-outlier-share", "-0.1"], ["--max-outlier-share", "'-0.1'", "equal to 0"]),
        (["--max-outlier-share", "1"], ["TTD_MAX_OUTLIER_SHARE", "'1'", "less than 1"]),
        (["--max-outlier-share", "nan"], ["--max-outlier-share", "'nan'"]),
        (["--max-outlier-share", "inf"], ["--max-outlier-share", "'inf'", "less than 1"]),
        (["--champion-tolerance", "-0.1"], ["TTD_CHAMPION_TOLERANCE", "'-0.1'", "equal to 0"]),
        (["--champion-tolerance", "nan"], ["--champion-tolerance", "'nan'", "finite"]),
        (["--champion-tolerance", "inf"], ["--champion-tolerance", "'inf'", "finite"]),
        (["--max-shift", "1"], ["TTD_MAX_SHIFT", "'1'", "greater than 1"]),
        (["--max-shift", "nan"], ["--max-shift", "'nan'", "finite"]),
        (["--max-shift", "inf"], ["--max-shift", "'inf'", "finite"]),
        (["--on-refusal", "stop"], ["TTD_ON_REFUSAL", "'stop'", "'fail' or 'keep'"]),
        (["--accept-shift=perhaps"], ["--accept-shift", "'perhaps'"]),
        (["--ignore-champion=perhaps"], ["--ignore-champion", "'perhaps'"]),
        (["--log-level", "LOUD"], ["--log-level", "'LOUD'", "'DEBUG', 'INFO'"]),
        (["--unknown"], ["--unknown"]),
        (["one", "two"], ["two"]),
        (["gs://bucket"], ["STORE", "TTD_STORE", "'gs://bucket'", "s3://bucket[/prefix]"]),
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
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_allowed(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        TrainSettings.from_arguments(arguments)

    message = capsys.readouterr().err
    assert end.value.code == 2
    assert [word for word in words if word not in message] == []


def test_a_wrong_variable_is_named_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTD_PORT", "70000")

    with pytest.raises(SystemExit) as end:
        ServeSettings.from_arguments([])

    assert end.value.code == 2
    assert "--port (or TTD_PORT) is '70000': " in capsys.readouterr().err


@pytest.mark.parametrize("variable", ["TTD_ACCEPT_SHIFT", "TTD_IGNORE_CHAMPION"])
def test_a_flag_in_the_environment_is_a_yes_or_a_no(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "perhaps")

    with pytest.raises(SystemExit) as end:
        TrainSettings.from_arguments([])

    assert end.value.code == 2
    assert f"(or {variable}) is 'perhaps': " in capsys.readouterr().err


def test_help_lists_all_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        TrainSettings.from_arguments(["--help"])

    text = capsys.readouterr().out
    assert end.value.code == 0
    assert "python -m pipeline.train_model" in text
    for name in TrainSettings.model_fields:
        assert ("STORE" if name == "store" else f"--{name.replace('_', '-')}") in text

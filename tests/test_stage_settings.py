"""Settings: defaults < environment < command line, and what wrong ones get."""

import pytest
from pydantic import ValidationError

from pipeline.stage_settings import SAMPLE_STORE, ServeSettings, TrainSettings


def test_without_arguments_the_sample_store_is_used() -> None:
    settings = TrainSettings.from_arguments([])

    assert settings.store == str(SAMPLE_STORE)
    assert settings.r2_error_threshold == 0.8
    assert settings.r2_warning_threshold == 0.9
    assert settings.max_rejected_share == 0.01
    assert (settings.log_level, settings.log_format) == ("INFO", "text")


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


def test_help_lists_all_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        TrainSettings.from_arguments(["--help"])

    text = capsys.readouterr().out
    assert end.value.code == 0
    assert "python -m pipeline.train_model" in text
    for name in TrainSettings.model_fields:
        assert ("STORE" if name == "store" else f"--{name.replace('_', '-')}") in text

"""What a mistyped setting gets, on the command line and in the environment, and the help."""

import pytest

from pipeline.stages.settings import ServeSettings, StageSettings, TrainSettings
from tests.support.helpers import ROOT

NOTHING = ["", " ", "\n", ",", "key,,"]


def error_of(
    settings: type[StageSettings], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> str:
    """Return what is printed about wrong settings, which end the process with exit code 2."""
    with pytest.raises(SystemExit) as end:
        settings.from_arguments(arguments)
    assert end.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "nothing"),
    [
        *(("api_key", nothing) for nothing in NOTHING),
        *(("alert_webhook", nothing) for nothing in NOTHING[:3]),
        *(("model_key", nothing) for nothing in NOTHING[:3]),
        *(("dataset_key", nothing) for nothing in NOTHING[:3]),
        *(("store", nothing) for nothing in NOTHING[:3]),
    ],
)
def test_an_empty_setting_that_protects_something_is_refused(
    name: str,
    nothing: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = TrainSettings if name in TrainSettings.model_fields else ServeSettings
    option = [] if name == "store" else [f"--{name.replace('_', '-')}"]

    assert f"(or TTD_{name.upper()}) is" in error_of(settings, [*option, nothing], capsys)
    monkeypatch.setenv(f"TTD_{name.upper()}", nothing)
    assert f"(or TTD_{name.upper()}) is" in error_of(settings, [], capsys)


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("TTD_API_KYE", ": did you mean TTD_API_KEY?\n"),
        ("TTD_R2_ERROR_TRESHOLD", ": did you mean TTD_R2_ERROR_THRESHOLD?\n"),
        ("ttd_storre", ": did you mean TTD_STORE?\n"),
        ("TTD_XYZ", "\n"),
    ],
)
def test_an_unknown_variable_is_refused_without_its_value(
    variable: str, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "SECRET")
    program = "python -m pipeline.train_model"

    message = error_of(TrainSettings, [], capsys)
    assert message == f"{program}: error: unknown variable {variable.upper()}{hint}"


def test_a_variable_of_another_stage_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTD_API_KEY", "k")
    monkeypatch.setenv("TTD_MAX_SHIFT", "3")

    assert TrainSettings.from_arguments([]).max_shift == 3
    assert ServeSettings.from_arguments([]).api_keys == ("k",)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--r2-error-treshold=.1", "--r2-error-treshold: did you mean --r2-error-threshold?"),
        ("--alert-webhok=SECRET", "--alert-webhok: did you mean --alert-webhook?"),
        ("--max-shif", "--max-shif: did you mean --max-shift?"),
        ("second", "second"),
    ],
)
def test_an_unknown_argument_gets_one_line_with_the_nearest_option(
    argument: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = error_of(TrainSettings, ["store", argument], capsys)
    program = "python -m pipeline.train_model"

    assert message == f"{program}: error: unknown argument {words} (see --help)\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_line_breaks_at_the_end_of_a_value_do_not_count(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTD_STORE", f"s3://orders{end}")
    monkeypatch.setenv("TTD_API_KEY", f"one,two{end}")
    monkeypatch.setenv("TTD_RELOAD_SECONDS", f"60{end}")

    settings = ServeSettings.from_arguments(["--root-path", f"/dispatch{end}"])

    assert (settings.store, settings.api_keys) == ("s3://orders", ("one", "two"))
    assert (settings.reload_seconds, settings.root_path) == (60.0, "/dispatch")


def test_help_names_values_defaults_variables_groups_and_examples(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        ServeSettings.from_arguments(["--help"])

    text = capsys.readouterr().out
    words = " ".join(text.split())
    assert end.value.code == 0
    assert "--drain-seconds SECONDS" in words
    assert "(default: 10.0; TTD_DRAIN_SECONDS)" in words
    assert "--log-format {text,json}" in words
    headings = ["options:", "log:", "store:", "service:", "examples:"]
    assert [line for line in text.splitlines() if line in headings] == headings


def test_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        TrainSettings.from_arguments(["--version"])

    assert end.value.code == 0
    version = (ROOT / "VERSION").read_text().strip()
    assert capsys.readouterr().out == f"time-to-dispatch {version}\n"

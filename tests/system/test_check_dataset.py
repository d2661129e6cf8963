"""A file judged before it is delivered: the verdict, the report, and an untouched store."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.check_dataset import main
from pipeline.model.order import HOURS
from pipeline.orders.simulator import simulate_orders
from pipeline.stores.directory import DirectoryStore
from tests.support.helpers import NEXT_WEEK, SAMPLE_WEEKS, logged
from tests.support.order_files import deliver_parts

NAME = Path(NEXT_WEEK).name
ORDINARY = simulate_orders(1_000, seed=2)
IN_MINUTES = ORDINARY.assign(hours_to_dispatch=60 * ORDINARY[HOURS])


def files_of(store: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}


def write_week(folder: Path, week: pd.DataFrame | str, name: str = NAME) -> str:
    """Write a week outside of any store, and return its path."""
    path = folder / name
    path.write_text(week if isinstance(week, str) else week.to_csv(index=False))
    return str(path)


@pytest.mark.parametrize(
    ("week", "code", "said"),
    [
        (ORDINARY, 0, "in the median over products; most moved "),
        (IN_MINUTES, 3, "Refused: this week is unlike the last: "),
        (ORDINARY.to_csv(index=False) + "SKU001,-4,2\n" * 99, 3, "99 of 1,099 rows (9.01%)"),
        ("", 3, f"Refused datasets/{NAME}: it is empty"),
    ],
    ids=["sound", "in minutes", "bad rows", "empty"],
)
def test_a_file_is_judged_beside_the_model_in_production_and_nothing_is_written(
    week: pd.DataFrame | str,
    code: int,
    said: str,
    trained_store: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = files_of(trained_store)
    file = write_week(tmp_path, week)

    assert main([file, "--store", str(trained_store)]) == code

    assert said in caplog.text
    assert ("passes every check" in capsys.readouterr().out) == (code == 0)
    assert files_of(trained_store) == before
    assert list(tmp_path.iterdir()) == [Path(file)]


def test_without_a_store_the_file_is_judged_alone_and_its_report_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = tmp_path / "report.html"

    assert main([write_week(tmp_path, IN_MINUTES), "--report", str(report)]) == 0

    (warning,) = logged(caplog, "WARNING")
    assert "with --store" in warning
    assert NAME in report.read_text()


@pytest.mark.parametrize(
    ("is_whole", "code", "said"),
    [(True, 0, "most moved"), (False, 3, "it is not whole: neither _SUCCESS nor _manifest.json")],
    ids=["whole", "unfinished"],
)
def test_a_folder_of_parts_is_judged_as_a_file_is(
    is_whole: bool,
    code: int,
    said: str,
    trained_store: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = {f"part-{n}.csv": ORDINARY[n::2].to_csv(index=False).encode() for n in range(2)}
    folder = NAME.removesuffix(".csv")
    deliver_parts(DirectoryStore(str(tmp_path)), parts, success=is_whole, folder=f"{folder}/")

    assert main([str(tmp_path / folder), "--store", str(trained_store)]) == code

    assert said in caplog.text


def test_limits_can_be_set_as_for_the_training(trained_store: Path, tmp_path: Path) -> None:
    file = write_week(tmp_path, IN_MINUTES)

    assert main([file, "--store", str(trained_store), "--accept-shift"]) == 0


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("week 47.csv", 0, "With this name the file would be overlooked in a store. Name a week"),
        ("time_to_dispatch_2062-11-27T23-00-00.csv", 3, "days ahead of the clock"),
    ],
    ids=["overlooked", "ahead"],
)
def test_the_name_of_the_file_is_judged_too(
    name: str, code: int, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main([write_week(tmp_path, ORDINARY, name)]) == code

    assert said in caplog.text


@pytest.mark.parametrize(
    ("name", "is_newest"),
    [
        (NAME, True),
        (SAMPLE_WEEKS[-1].name, True),
        (SAMPLE_WEEKS[0].name, False),
        (f"{SAMPLE_WEEKS[-1].stem}-v2.csv", False),
    ],
    ids=["newer", "the newest itself", "older", "of the same time"],
)
def test_a_file_that_would_not_be_the_newest_of_the_store_is_warned_of(
    name: str,
    is_newest: bool,
    trained_store: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert main([write_week(tmp_path, ORDINARY, name), "--store", str(trained_store)]) == 0

    warnings = [line for line in logged(caplog, "WARNING") if "not be the newest in the" in line]
    assert [f"'datasets/{SAMPLE_WEEKS[-1].name}'" in line for line in warnings] == (
        [] if is_newest else [True]
    )


def test_a_file_that_is_not_there_is_a_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main([f"{tmp_path}/week.csv"]) == 1

    (error,) = logged(caplog, "ERROR")
    assert error == f"Cannot read {tmp_path}/week.csv: No such file or directory."


@pytest.mark.parametrize("arguments", [[], ["week.csv", "more.csv"], ["week.csv", "--store", ""]])
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)

    assert end.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1

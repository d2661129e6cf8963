"""The newest week of a store is copied into another one, once."""

from pathlib import Path

import pytest

from deploy.fetch_week import main
from tests.support.helpers import names_in

WEEKS = "datasets"


def newest_of(store: Path) -> Path:
    return max((store / WEEKS).iterdir())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Make a store with nothing in it."""
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def test_the_newest_week_is_copied_and_copied_again_without_harm(
    sample_store: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = newest_of(sample_store)

    assert [main([str(sample_store), str(target)]) for _ in range(2)] == [0, 0]

    assert names_in(target / WEEKS) == [newest.stem]
    assert newest_of(target).read_bytes() == newest.read_bytes()
    assert f"{target} has {WEEKS}/{newest.name} of {sample_store}." in capsys.readouterr().out


def test_a_week_in_parts_is_copied_as_a_whole(sample_store: Path, target: Path) -> None:
    newest = newest_of(sample_store)
    folder = newest.with_name("time_to_dispatch_2026-11-27T23-00-00")
    folder.mkdir()
    newest.rename(folder / "part-0.csv")
    (folder / "_SUCCESS").touch()

    assert main([str(sample_store), str(target)]) == 0

    assert sorted(path.name for path in newest_of(target).iterdir()) == ["_SUCCESS", "part-0.csv"]


def test_another_week_of_the_same_name_stays_as_it_is(
    sample_store: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (target / WEEKS).mkdir()
    mine = target / WEEKS / newest_of(sample_store).name
    mine.write_text("mine")

    assert main([str(sample_store), str(target)]) == 1

    assert mine.read_text() == "mine"
    assert "fetch_data: error: Cannot write" in capsys.readouterr().err


def test_a_store_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2

    assert "name the store, as in s3://bucket" in capsys.readouterr().err

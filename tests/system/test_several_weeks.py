"""Models of several weeks, as the stages make them from a store."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.check_dataset import main as check
from pipeline.model.artifact import MODELS, REPORTS
from pipeline.model.reader import load_model
from pipeline.orders.simulator import simulate_orders
from pipeline.stores.directory import DirectoryStore
from pipeline.train_model import main
from tests.support.helpers import NEXT_WEEK, SAMPLE_WEEKS, logged, names_in


def test_a_model_of_several_weeks_says_which_and_reports_on_each(
    sample_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main([str(sample_store), "--weeks", "3"]) == 0

    metadata = load_model(DirectoryStore(str(sample_store))).metadata
    assert metadata.dataset.rows == 1_000
    assert metadata.several_weeks is not None
    assert [past.key for past in metadata.several_weeks.datasets] == [
        f"datasets/{week.name}" for week in reversed(SAMPLE_WEEKS[:-1])
    ]
    assert any(line.startswith("Trained on ") for line in logged(caplog, "INFO"))
    (report,) = (sample_store / REPORTS).iterdir()
    assert '<section id="weeks"' in report.read_text()


def nothing(store: Path) -> None:
    """Leave a store as it is."""


def remove_the_oldest(store: Path) -> None:
    (store / "datasets" / SAMPLE_WEEKS[0].name).unlink()


def correct_the_oldest(store: Path) -> None:
    corrected = simulate_orders(500, seed=1).to_csv(index=False)
    (store / "datasets" / SAMPLE_WEEKS[0].name).write_text(corrected)


@pytest.mark.parametrize(
    ("change", "weeks", "published"),
    [
        (nothing, "3", 1),
        (nothing, "1", 2),
        (nothing, "2", 2),
        (remove_the_oldest, "3", 2),
        (correct_the_oldest, "3", 2),
    ],
)
def test_a_model_of_several_weeks_is_made_again_only_if_they_change(
    change: Callable[[Path], None], weeks: str, published: int, sample_store: Path
) -> None:
    assert main([str(sample_store), "--weeks", "3"]) == 0
    change(sample_store)

    assert main([str(sample_store), "--weeks", weeks]) == 0

    assert len(names_in(sample_store / MODELS)) == published


def test_a_file_is_checked_with_the_weeks_of_the_store_or_alone_if_there_is_none(
    trained_store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / Path(NEXT_WEEK).name
    file.write_text(simulate_orders(1_000, seed=2).to_csv(index=False))

    assert check([str(file), "--weeks", "2", "--store", str(trained_store)]) == 0
    assert "of the earlier week datasets/" in caplog.text
    assert logged(caplog, "WARNING") == []

    assert check([str(file), "--weeks", "2"]) == 0
    assert "--weeks finds earlier weeks only in a --store." in caplog.text

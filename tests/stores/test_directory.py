"""What is particular to a store in a folder."""

import os
import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.stages.errors import ObjectExists, StoreError
from pipeline.stores.base import open_store
from pipeline.stores.directory import DirectoryStore

KEY = "models/a.onnx"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make the folder of a store."""
    root = tmp_path / "store"
    root.mkdir()
    return root


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    """Open an empty store."""
    return DirectoryStore(str(root))


def test_what_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as failure:
        DirectoryStore(str(tmp_path / "nowhere"))

    assert str(failure.value) == (
        f"Cannot open the store {tmp_path / 'nowhere'}: there is no such folder. "
        "Create it, or name another STORE."
    )


def test_a_file_is_no_store_and_can_be_checked(tmp_path: Path) -> None:
    (tmp_path / "week.csv").touch()

    with pytest.raises(StoreError, match=r"(?s)week\.csv: it is a file.*use ttd-check FILE"):
        DirectoryStore(str(tmp_path / "week.csv"))


def test_the_probe_of_a_folder_leaves_nothing_behind(store: DirectoryStore, root: Path) -> None:
    store.check_writes()

    assert list(root.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_found_out(store: DirectoryStore, root: Path) -> None:
    root.rmdir()

    with pytest.raises(StoreError, match=f"(?s)^Cannot write to {root}: .*needs hard links"):
        store.check_writes()


@pytest.mark.parametrize("path", ["../store", "~/store"])
def test_a_path_stays_valid_when_the_process_changes_its_folder(
    path: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "elsewhere")
    store = DirectoryStore(path)

    monkeypatch.chdir("/")

    assert store.url == str(root)
    store.write_new(KEY, b"content")
    assert (root / KEY).read_bytes() == store.read(KEY) == b"content"


@pytest.mark.parametrize("key", ["../x", "models/../../x", "/etc/passwd", "../store2/x", "."])
def test_a_key_cannot_lead_out_of_the_store(store: DirectoryStore, key: str) -> None:
    with pytest.raises(StoreError, match="leads out of the store"):
        store.read(key)
    with pytest.raises(StoreError, match="leads out of the store"):
        store.write_new(key, b"content")
    with pytest.raises(StoreError, match="leads out of the store"):
        store.list_keys(key)


def test_hidden_files_are_not_listed(store: DirectoryStore, root: Path) -> None:
    store.write_new(KEY, b"content")
    (root / "models" / ".DS_Store").touch()

    assert store.list_keys("models") == [KEY]


@pytest.mark.parametrize("key", [KEY, "models/old/a.onnx"])
def test_a_file_where_a_folder_should_be_is_explained(
    store: DirectoryStore, root: Path, key: str
) -> None:
    (root / "models").touch()

    with pytest.raises(StoreError, match=f"Cannot list {root}/models: Not a directory"):
        store.list_keys("models")
    with pytest.raises(StoreError, match=f"Cannot read {root}/{key}: Not a directory") as reading:
        store.read(key)
    with pytest.raises(StoreError, match=f"Cannot write {root}/{key}: ") as writing:
        store.write_new(key, b"content")
    assert (type(reading.value), type(writing.value)) == (StoreError, StoreError)


def test_an_object_is_one_file_that_everyone_may_read(store: DirectoryStore, root: Path) -> None:
    store.write_new(KEY, b"content")
    with pytest.raises(ObjectExists):
        store.write_new(KEY, b"other")

    assert os.listdir(root / "models") == ["a.onnx"]
    assert (root / KEY).stat().st_mode & 0o777 == 0o644


def test_a_reader_never_sees_half_an_object(store: DirectoryStore) -> None:
    content = os.urandom(20_000_000)
    lengths: set[int] = set()

    def write() -> None:
        for number in range(8):
            store.write_new(f"models/{number}", content)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not writing.done() or not lengths:
            lengths.update(len(store.read(key)) for key in store.list_keys("models"))
        writing.result()

    assert lengths == {len(content)}


@pytest.fixture(params=["nameless files", "named ones"])
def kind_of_file(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write with a system that has files without a name, and with one that has none."""
    if request.param == "named ones":
        monkeypatch.delattr(os, "O_TMPFILE")
    return str(request.param)


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of what is flushed to the disk from now on, and of the links made."""
    fsync, link = os.fsync, os.link
    calls: list[str] = []

    def recording_fsync(descriptor: int) -> None:
        fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        calls.append(f"flush {path.name if path.is_dir() else 'the file'}")

    def recording_link(*args: Any, **kwargs: Any) -> None:
        link(*args, **kwargs)
        calls.append("link")

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(os, "link", recording_link)
    return calls


@pytest.mark.usefixtures("kind_of_file")
def test_what_is_written_survives_a_loss_of_power_with_the_folders_it_is_in(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = recorded(monkeypatch)
    store.write_new(KEY, b"content")
    assert calls == ["flush the file", "link", "flush models", "flush store"]
    assert store.read(KEY) == b"content"


@pytest.mark.usefixtures("kind_of_file")
def test_a_full_disk_leaves_nothing(store: DirectoryStore, root: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(StoreError, match="Cannot write .*: File too large"):
            store.write_new(KEY, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list((root / "models").iterdir()) == []


@pytest.mark.usefixtures("kind_of_file")
def test_the_next_writer_removes_what_killed_ones_left_long_ago(
    store: DirectoryStore, root: Path
) -> None:
    (root / "models").mkdir()
    old, new = root / "models" / ".writing-old", root / "models" / ".writing-new"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    store.write_new(KEY, b"content")
    assert sorted(os.listdir(root / "models")) == [new.name, "a.onnx"]


def test_a_probe_of_a_killed_process_is_no_obstacle(store: DirectoryStore, root: Path) -> None:
    (root / ".probe").touch()
    store.check_writes()
    assert list(root.iterdir()) == []


def test_a_package_that_is_not_installed_is_told() -> None:
    with pytest.raises(StoreError) as caught:
        open_store("package:nothing-of-this-name")

    assert str(caught.value).startswith(
        "Cannot open the store package:nothing-of-this-name: no package of this name is installed."
    )


def test_an_installed_package_is_a_store() -> None:
    assert open_store("package:fastapi").url.endswith("/site-packages/fastapi")

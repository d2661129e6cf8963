"""What is particular to a store in a folder."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.stages.errors import ObjectExists, ObjectMissing, StoreError
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


def test_a_missing_folder_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as failure:
        DirectoryStore(str(tmp_path / "nowhere"))

    assert str(failure.value) == (
        f"Cannot open the store {tmp_path}/nowhere: there is no such folder. "
        "Create it, or name another STORE."
    )


def test_a_file_cannot_be_opened_as_a_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match="there is no such folder"):
        DirectoryStore(str(tmp_path / "file"))


def test_a_relative_path_stays_valid_when_the_process_changes_its_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = DirectoryStore("store")

    monkeypatch.chdir("/")

    assert store.url == str(root)
    store.write_new(KEY, b"content")
    assert store.read(KEY) == b"content"


def test_a_path_that_goes_up_first_is_a_store(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    DirectoryStore("../store").write_new(KEY, b"content")

    assert (root / KEY).read_bytes() == b"content"


def test_a_tilde_is_the_home_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert DirectoryStore("~/store").url == str(root)


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


def test_a_file_where_a_folder_should_be_is_explained(store: DirectoryStore, root: Path) -> None:
    (root / "models").touch()

    with pytest.raises(StoreError, match=f"Cannot list {root}/models: Not a directory"):
        store.list_keys("models")
    with pytest.raises(StoreError, match=f"Cannot read {root}/{KEY}: Not a directory") as failure:
        store.read(KEY)
    assert not isinstance(failure.value, ObjectMissing)


@pytest.mark.parametrize("key", [KEY, "models/old/a.onnx"])
def test_a_file_in_the_way_of_a_folder_is_not_taken_for_the_object(
    store: DirectoryStore, root: Path, key: str
) -> None:
    (root / "models").touch()

    with pytest.raises(StoreError, match=f"Cannot write {root}/{key}: ") as failure:
        store.write_new(key, b"content")

    assert not isinstance(failure.value, ObjectExists)


def test_a_folder_cannot_be_read_as_an_object(store: DirectoryStore, root: Path) -> None:
    (root / KEY).mkdir(parents=True)

    with pytest.raises(StoreError, match=f"Cannot read {root}/{KEY}: Is a directory"):
        store.read(KEY)


def test_no_other_file_is_left_after_a_success_or_a_failure(
    store: DirectoryStore, root: Path
) -> None:
    store.write_new(KEY, b"content")
    with pytest.raises(ObjectExists):
        store.write_new(KEY, b"other")

    assert os.listdir(root / "models") == ["a.onnx"]


def test_everyone_may_read_an_object(store: DirectoryStore, root: Path) -> None:
    store.write_new(KEY, b"content")

    assert (root / KEY).stat().st_mode & 0o777 == 0o644


def test_a_reader_who_lists_never_sees_half_an_object(store: DirectoryStore) -> None:
    content = os.urandom(20_000_000)
    lengths: set[int] = set()

    def read_all() -> None:
        lengths.update(len(store.read(key)) for key in store.list_keys("models"))

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(_write, store, [f"models/{number}" for number in range(8)], content)
        while not writing.done():
            read_all()
        writing.result()
    read_all()

    assert lengths == {len(content)}


def test_a_reader_who_waits_for_a_key_never_sees_half_an_object(store: DirectoryStore) -> None:
    keys = [f"models/{number}" for number in range(100)]

    with ThreadPoolExecutor(1) as pool:
        pool.submit(_write, store, keys, b"content")
        first_sights = {_read_as_soon_as_it_is_there(store, key) for key in keys}

    assert first_sights == {b"content"}


def _write(store: DirectoryStore, keys: list[str], content: bytes) -> None:
    for key in keys:
        store.write_new(key, content)


def _read_as_soon_as_it_is_there(store: DirectoryStore, key: str) -> bytes:
    while True:
        try:
            return store.read(key)
        except ObjectMissing:
            pass

"""Only an artifact that passes every check becomes a model, and each refusal names its check."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto
from pydantic import ValidationError

from pipeline.model.artifact import (
    CATALOGUE_KEY,
    CURVES_KEY,
    HOURS_OUTPUT,
    METADATA_KEY,
    MODELS,
    artifact_key,
    short_hash,
)
from pipeline.model.catalogue import CODES, COLUMNS
from pipeline.model.columns import pack
from pipeline.model.metadata import FORMAT_VERSION, READABLE_FORMATS
from pipeline.model.reader import MAX_INDEXED_AT_ONCE, DispatchModel, load_model
from pipeline.stages.errors import ArtifactError, ObjectMissing
from pipeline.stores.directory import DirectoryStore
from tests.support import builders
from tests.support.changed_artifacts import (
    metadata_facts,
    one_node_model,
    properties_of,
    with_facts,
    with_metadata,
    with_offset,
    without_curves,
)
from tests.support.service_clients import wait_until

ONE_MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def artifact(trained_store: Path) -> bytes:
    """Return the bytes of that model's artifact."""
    (path,) = (trained_store / MODELS).iterdir()
    return path.read_bytes()


@pytest.fixture
def load(store: DirectoryStore, served_model: DispatchModel) -> Callable[[bytes], DispatchModel]:
    """Return a function that loads an artifact of this content under the name it should have."""

    def load_content(content: bytes) -> DispatchModel:
        store.write_new(artifact_key(MODELS, served_model.metadata.trained_at, content), content)
        return load_model(store)

    return load_content


def test_a_loaded_model_estimates_its_products_and_no_others(served_model: DispatchModel) -> None:
    codes = ["SKU001", "SKU002", "SKU999", "", "sku001"]
    hours = served_model.estimate({"product_code": codes, "orders_placed": [112] * 5})
    assert [*served_model.products] == ["SKU001", "SKU002", "SKU003", "SKU004", "SKU005"]
    assert hours[0] == pytest.approx(8.28, abs=0.3)
    assert hours[1] != hours[0]
    assert np.isnan(hours).tolist() == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SKU001", "SKU001"),
        (" SKU001\u00a0", "SKU001"),
        ("SKU001 ", "SKU001 "),
        ("SKU002", "SKU002\u200b"),
        ("SKU002\u200b", "SKU002\u200b"),
        ("sku001", None),
        ("", None),
    ],
)
def test_a_code_is_known_as_it_is_or_else_as_it_looks(text: str, code: str | None) -> None:
    codes = ["SKU001", "SKU001 ", "SKU002\u200b"]
    position = builders.model(codes).position_of(text)

    assert (None if position is None else codes[position]) == code


def test_similar_codes_among_very_many_are_named_as_soon_as_they_are_indexed() -> None:
    model = builders.model([f"SKU{number:05}" for number in range(MAX_INDEXED_AT_ONCE + 1)])

    assert model.similar_codes("sku00007") in ([], ["SKU00007"])
    wait_until(lambda: bool(model.similar_codes("sku00007")), "the index is made")

    assert model.similar_codes("sku00007") == ["SKU00007"]


def test_estimates_never_fall_as_orders_rise_and_are_never_negative(
    served_model: DispatchModel,
) -> None:
    orders = np.concatenate([np.arange(0, 400, 0.5), np.geomspace(400, 1_000_000, 200)])
    for product in served_model.products:
        columns = {"product_code": [product] * len(orders), "orders_placed": orders}
        hours = served_model.estimate(columns)
        assert (np.diff(hours) >= 0).all()
        assert 0 <= hours[0] < hours[-1]


def test_the_bounds_lie_around_the_estimate_and_never_below_zero(
    served_model: DispatchModel,
) -> None:
    orders = np.arange(0.0, 321.0)
    for product in served_model.products:
        codes = [product] * len(orders)
        hours = served_model.estimate({"product_code": codes, "orders_placed": orders})
        lower, upper = served_model.bounds(codes, hours)
        interval = served_model.metadata.interval
        assert (lower >= 0).all() and (lower <= hours).all() and (hours < upper).all()
        position = served_model.metadata.catalogue.product_code.index(product)
        noise = served_model.metadata.catalogue.noise_of(np.array([position]))
        below, above = interval.reach(hours, noise)
        assert np.allclose(upper - hours, above)
        # Where zero does not cut it off, it reaches as far below as the metadata say.
        assert np.allclose((hours - lower)[lower > 0], below[lower > 0])
        assert (upper - hours).min() > 0.5 * interval.upper_multiple * interval.noise_base_hours


def test_the_interval_of_an_older_artifact_reaches_as_far_below_as_above() -> None:
    older = builders.model(["A"], interval={"multiple": 3.0})
    newer = builders.model(["A"], interval={"lower_multiple": 1.0, "upper_multiple": 3.0})
    hours = np.array([100.0])

    assert np.array(older.bounds(["A"], hours)).ravel() == pytest.approx([84.247, 115.753])
    assert np.array(newer.bounds(["A"], hours)).ravel() == pytest.approx([94.749, 115.753])


@pytest.mark.parametrize(
    ("least", "most", "placed", "widening"),
    [
        (100, 300, [0, 99, 100, 300, 301, 500, 700], [1.5, 1.005, 1, 1, 1.005, 2, 3]),
        (50, 50, [0, 50, 100], [2, 1, 2]),
        (0, 0, [0, 1, 2], [1, 2, 3]),
    ],
)
def test_the_interval_widens_with_the_distance_from_the_range_seen(
    least: float, most: float, placed: list[float], widening: list[float]
) -> None:
    catalogue = {"least_orders": [least], "most_orders": [most]}
    model = builders.model(["A"], catalogue=catalogue)
    codes = ["A"] * len(placed)

    hours, lower, upper, extrapolated = model.predict(
        {"product_code": codes, "orders_placed": placed}
    )

    _, at_once = model.bounds(codes, hours)
    assert (upper - hours) / (at_once - hours) == pytest.approx(widening)
    assert lower == pytest.approx(np.maximum(hours - (upper - hours), 0))
    assert extrapolated.tolist() == [width > 1 for width in widening]


@pytest.mark.parametrize("product_code", ["SKU001", "SKU005"])
def test_order_counts_outside_the_range_seen_are_extrapolated(
    product_code: str, served_model: DispatchModel, trained_store: Path
) -> None:
    week = pd.read_csv(trained_store / served_model.metadata.dataset.key)
    seen = week.loc[week["product_code"] == product_code, "orders_placed"]

    orders = [seen.min() - 0.5, seen.min(), seen.max(), seen.max() + 0.5]
    extrapolated = served_model.predict(
        {"product_code": [product_code] * 4, "orders_placed": orders}
    ).extrapolated
    assert extrapolated.tolist() == [True, False, False, True]


def test_the_model_with_the_newest_timestamp_is_loaded_or_the_one_asked_for(
    store: DirectoryStore, served_model: DispatchModel, artifact: bytes
) -> None:
    newer = served_model.metadata.trained_at + ONE_MICROSECOND
    newest_key = write_as_trained_at(store, artifact, newer)
    write_as_trained_at(store, artifact, newer - timedelta(days=400))
    pinned = artifact_key(MODELS, served_model.metadata.trained_at, artifact)
    store.write_new(pinned, artifact)
    assert load_model(store).metadata.trained_at == newer
    assert load_model(store).version == Path(newest_key).stem
    assert load_model(store, pinned).version == served_model.version


def test_a_pinned_model_that_is_not_there_is_an_error(store: DirectoryStore) -> None:
    with pytest.raises(ObjectMissing, match="no_such_model.onnx: there is no such file"):
        load_model(store, "models/no_such_model.onnx")


def test_a_store_without_a_model_says_how_to_get_one(store: DirectoryStore) -> None:
    with pytest.raises(ArtifactError, match="There is no model under .* run the train-model"):
        load_model(store)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_damaged_artifact_fails_the_hash_check(
    share: float, store: DirectoryStore, served_model: DispatchModel, artifact: bytes
) -> None:
    place = int(share * (len(artifact) - 1))
    flipped = artifact[:place] + bytes([artifact[place] ^ 1]) + artifact[place + 1 :]
    for damaged in (flipped, artifact[:place], artifact + b"\0"):
        key = artifact_key(MODELS, served_model.metadata.trained_at, artifact)
        (Path(store.url) / key).parent.mkdir(exist_ok=True)
        (Path(store.url) / key).write_bytes(damaged)
        with pytest.raises(ArtifactError, match=f"damaged .* {len(damaged):,} bytes") as refusal:
            load_model(store)
        assert f"is {short_hash(damaged)}, its name says {short_hash(artifact)}" in str(
            refusal.value
        )


def test_a_name_without_a_hash_is_refused(store: DirectoryStore, artifact: bytes) -> None:
    store.write_new("models/time_to_dispatch_2021-07-03T23-05-32-000000.onnx", artifact)
    with pytest.raises(ArtifactError, match="name .* does not end in a hash of 16 hex digits"):
        load_model(store)


def test_another_timestamp_in_the_name_is_refused_although_the_hash_is_right(
    store: DirectoryStore, served_model: DispatchModel, artifact: bytes
) -> None:
    later = served_model.metadata.trained_at + ONE_MICROSECOND
    store.write_new(artifact_key(MODELS, later, artifact), artifact)
    with pytest.raises(ArtifactError, match="was renamed: its metadata says that it was trained"):
        load_model(store)


@pytest.mark.parametrize("content", [b"", b"Not ONNX at all", b"\x80\x04\x95pickle."])
def test_what_is_not_onnx_is_refused_although_the_hash_is_right(
    content: bytes, load: Callable[[bytes], DispatchModel]
) -> None:
    with pytest.raises(ArtifactError, match="is not an ONNX model: "):
        load(content)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {METADATA_KEY: "trained last Friday"},
        {METADATA_KEY: "[1]"},
        {METADATA_KEY: '{"regressor": "PerProductLine"}'},
        {METADATA_KEY: '{"format_version": "one"}'},
    ],
)
def test_a_model_without_metadata_is_refused(
    metadata: dict[str, str], artifact: bytes, load: Callable[[bytes], DispatchModel]
) -> None:
    with pytest.raises(ArtifactError, match="carries no metadata, so it is not one that this"):
        load(with_metadata(artifact, metadata))


@pytest.mark.parametrize("version", [READABLE_FORMATS[0] - 1, FORMAT_VERSION + 1])
def test_another_format_is_refused_with_both_versions_and_what_to_do(
    version: int, artifact: bytes, load: Callable[[bytes], DispatchModel]
) -> None:
    # Another format may be anything, so the version has to be judged before all other facts.
    other = {"format_version": version, "trained": "at some time"}
    with pytest.raises(ArtifactError) as refusal:
        load(with_metadata(artifact, {METADATA_KEY: json.dumps(other)}))
    assert f"has format {version}, and this code knows formats up to {FORMAT_VERSION}" in str(
        refusal.value
    )
    assert "Deploy the code that it was made with, or train it again" in str(refusal.value)


@pytest.mark.parametrize(
    ("fact", "value", "reason"),
    [(fact, None, "Input should be") for fact in ("trained_at", "dataset", "metrics")],
)
def test_incomplete_metadata_are_refused_and_the_fact_is_named(
    fact: str, value: Any, reason: str, artifact: bytes, load: Callable[[bytes], DispatchModel]
) -> None:
    with pytest.raises(ArtifactError, match=f"is incomplete or wrong: {fact}.*: .*{reason}"):
        load(with_facts(artifact, metadata_facts(artifact) | {fact: value}))


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("product_code", [], "at least one product"),
        ("product_code", ["B", "A"], "'A' stands after 'B': codes are sorted, and differ"),
        ("product_code", ["A", "A"], "'A' stands after 'A'"),
        ("rows", [1, 2, 3], "different lengths: product_code 2, rows 3"),
        ("rows", [1.5, 2.0], "not of the kind"),
        ("rows", [-1, 2], "is negative"),
        ("least_orders", [np.nan, 1.0], "not finite"),
        ("most_orders", ["1", "2"], "no numbers"),
        ("relative_upper_noise", [[1.0], [2.0]], "no numbers"),
    ],
)
def test_a_catalogue_with_a_fault_is_refused_and_the_column_is_named(
    column: str, values: list[Any], reason: str
) -> None:
    columns = {"product_code": ["A", "B"], "rows": [1, 2], "relative_noise": [1, 1]}
    columns |= {"least_orders": [0, 0], "most_orders": [9, 9], column: values}
    with pytest.raises(ValidationError, match=f"catalogue[^:]*{reason}"):
        builders.metadata(catalogue=columns)


@pytest.mark.parametrize("text", ["no base64!", pack({"rows": np.arange(3)})])
def test_products_that_cannot_be_read_are_an_error(
    text: str, artifact: bytes, load: Callable[[bytes], DispatchModel]
) -> None:
    damaged = with_metadata(artifact, properties_of(artifact) | {CATALOGUE_KEY: text})
    with pytest.raises(ArtifactError, match="products of the model .* cannot be read: The"):
        load(damaged)


def test_an_artifact_of_before_with_the_catalogue_among_its_facts_is_read(
    artifact: bytes, served_model: DispatchModel, load: Callable[[bytes], DispatchModel]
) -> None:
    catalogue = served_model.metadata.catalogue
    numbers = {name: getattr(catalogue, name).tolist() for name in COLUMNS if name != CODES}
    facts = metadata_facts(artifact) | {"format_version": 2}
    facts |= {"catalogue": numbers | {CODES: [*catalogue.product_code]}}

    older = load(with_metadata(artifact, {METADATA_KEY: json.dumps(facts)}))

    order = {"product_code": ["SKU003"], "orders_placed": [112]}
    assert older.predict(order) == served_model.predict(order)


def test_facts_that_a_newer_writer_added_are_ignored(
    artifact: bytes, load: Callable[[bytes], DispatchModel]
) -> None:
    facts = metadata_facts(artifact) | {"weather": "sunny"}
    assert load(with_facts(artifact, facts)).products


def test_a_model_with_other_inputs_and_outputs_is_refused_and_they_are_named(
    artifact: bytes, load: Callable[[bytes], DispatchModel]
) -> None:
    other = one_node_model(artifact, "Add", ["mass", "acceleration"], "force", TensorProto.DOUBLE)
    with pytest.raises(ArtifactError, match="another kind: .* are acceleration, force, mass"):
        load(other)


def test_a_model_that_takes_other_types_does_not_survive_the_warm_up(
    artifact: bytes, load: Callable[[bytes], DispatchModel]
) -> None:
    inputs = ["product_code", "orders_placed"]
    numeric = one_node_model(artifact, "Add", inputs, HOURS_OUTPUT, TensorProto.DOUBLE)
    with pytest.raises(ArtifactError, match="does not work: .*INVALID_ARGUMENT"):
        load(numeric)


@pytest.mark.parametrize("offset", [np.nan, np.inf, -1_000.0])
def test_a_model_that_estimates_nonsense_does_not_survive_the_warm_up(
    offset: float, artifact: bytes, load: Callable[[bytes], DispatchModel]
) -> None:
    with pytest.raises(ArtifactError, match=r"does not work: it estimates \S+ h for SKU001"):
        load(without_curves(with_offset(artifact, offset)))


def test_curves_that_contradict_the_graph_are_refused_with_both_estimates(
    artifact: bytes, load: Callable[[bytes], DispatchModel]
) -> None:
    said = r"contradicts itself: for 'SKU\d+' and \S+ orders its curves say \S+ h, its ONNX graph"
    with pytest.raises(ArtifactError, match=said):
        load(with_offset(artifact, 1e-6))


@pytest.mark.parametrize("text", ["", "no base64", "bm8gemlw"])
def test_curves_that_cannot_be_read_are_refused(
    text: str, artifact: bytes, load: Callable[[bytes], DispatchModel]
) -> None:
    with pytest.raises(ArtifactError, match="The curves in the model .* cannot be read: "):
        load(with_metadata(artifact, properties_of(artifact) | {CURVES_KEY: text}))


def test_an_artifact_without_curves_answers_the_same(
    artifact: bytes, served_model: DispatchModel, load: Callable[[bytes], DispatchModel]
) -> None:
    orders = {"product_code": ["SKU001"] * 400, "orders_placed": np.linspace(0, 400, 400)}
    asked = load(without_curves(artifact)).predict(orders)
    for one, other in zip(served_model.predict(orders)[:3], asked[:3]):
        np.testing.assert_array_equal(np.round(one, 2), np.round(other, 2))


def test_a_harmless_change_is_not_refused(
    artifact: bytes, served_model: DispatchModel, load: Callable[[bytes], DispatchModel]
) -> None:
    """Show that the refusals above come from what is changed, not from the changing."""
    shifted = load(without_curves(with_offset(artifact, 100.0)))
    expected = served_model.estimate({"product_code": ["SKU001"], "orders_placed": [112]}) + 100
    assert shifted.estimate({"product_code": ["SKU001"], "orders_placed": [112]}) == pytest.approx(
        expected
    )


def write_as_trained_at(store: DirectoryStore, artifact: bytes, trained_at: datetime) -> str:
    """Store an artifact as if it had been trained at another time, and return its key."""
    facts = metadata_facts(artifact) | {"trained_at": trained_at.isoformat()}
    content = with_facts(artifact, facts)
    key = artifact_key(MODELS, trained_at, content)
    store.write_new(key, content)
    return key

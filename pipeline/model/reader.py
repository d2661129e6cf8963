"""An ONNX artifact in the store -> a verified model that gives estimates.

This is the serving side: it imports neither the training code nor its libraries.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.model.arrays import Floats
from pipeline.model.artifact import CURVES_KEY, MODELS, hash_of_version, short_hash
from pipeline.model.bounds import IntervalTable
from pipeline.model.carried import read_curves, read_metadata, read_properties
from pipeline.model.curve_table import CurveTable
from pipeline.model.decisions import newest_usable_model
from pipeline.model.memory import give_back_memory
from pipeline.model.metadata import DOUBTS, REMARKS, ModelMetadata
from pipeline.model.onnx_regressor import OnnxRegressor
from pipeline.model.order import ORDERS, PRODUCT, normalised_code
from pipeline.model.product_codes import Positions, ProductCodes
from pipeline.model.regressor import OrderColumns, Regressor
from pipeline.model.similar_codes import SimilarCodes
from pipeline.model.trials import check_answers, check_curves, check_graph_alone
from pipeline.stages.daemon_threads import in_daemon_thread
from pipeline.stages.errors import ArtifactDamaged, ArtifactError
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import name_of, timestamp_of

MAX_INDEXED_AT_ONCE = 2_000
"""Products that a request waits for to be indexed, some 8 ms."""


class Predictions(NamedTuple):
    """What a model says to orders; each of shape (n_rows,).

    Attributes:
        hours: estimated hours to dispatch.
        lower: lower bounds of the prediction intervals in hours.
        upper: upper bounds.
        extrapolated: whether the order count is outside the range that the model saw of the
            product.
    """

    hours: Floats
    lower: Floats
    upper: Floats
    extrapolated: npt.NDArray[np.bool_]


class DispatchModel:
    """A loaded model.

    Its products have positions: their places in `products`.

    Attributes:
        version: name of its artifact without folder and suffix.
        metadata: where it comes from and what it is.
    """

    def __init__(self, version: str, metadata: ModelMetadata, regressor: Regressor) -> None:
        """Put together what was read from an artifact."""
        self.version = version
        self.metadata = metadata
        self._regressor = regressor

    @property
    def curves(self) -> CurveTable | None:
        """What answers, if that are curves."""
        return self._regressor if isinstance(self._regressor, CurveTable) else None

    @property
    def products(self) -> ProductCodes:
        """The codes of the products that the model knows."""
        return self.metadata.catalogue.product_code

    def position_of(self, text: str) -> int | None:
        """Return the position of the product that a text stands for, if the model knows it.

        Artifacts may hold codes from before codes were normalised, so it is first taken as it is.
        """
        position = self.products.position(text)
        if position is not None:
            return position
        code = normalised_code(text)
        position = self.products.position(code)
        if position is None and code in self._unusual_codes:
            return self.products.position(self._unusual_codes[code])
        return position

    def positions_of(self, texts: Sequence[str]) -> Positions:
        """Return what `position_of` does for each text, shape (n_texts,); -1 in place of None."""
        positions = self.products.positions(texts)
        for row in np.flatnonzero(positions < 0).tolist():
            position = self.position_of(texts[row])
            positions[row] = -1 if position is None else position
        return positions

    def similar_codes(self, text: str) -> list[str]:
        """Return the codes of the products that a text may stand for, if there are any.

        Finding them takes an index, which is made when first needed: in a thread of its own, so
        that requests go on being answered meanwhile, without similar codes if there are many.
        """
        is_waited_for = len(self.products) <= MAX_INDEXED_AT_ONCE
        if is_waited_for or self._similar_codes.done():
            return self._similar_codes.result().similar_to(text)
        return []

    def curve_from(self, product_code: str) -> datetime:
        """Return when the orders were delivered that the curve of a product was fitted to."""
        number = int(self._week[self.products.index(product_code)])
        earlier = self.metadata.earlier_weeks
        return earlier[number - 1].delivered_at if number else self.metadata.dataset.delivered_at

    def doubts(self, product_code: str) -> tuple[str, ...]:
        """Return the remarks after which a product's estimates are not to be trusted, or none."""
        return tuple(remark for remark in self.remarks(product_code) if remark in DOUBTS)

    @property
    def trusted(self) -> npt.NDArray[np.bool_]:
        """Whether there are no doubts about each product, shape (n_products,)."""
        doubted = sum(1 << bit for bit, remark in enumerate(REMARKS) if remark in DOUBTS)
        is_trusted: npt.NDArray[np.bool_] = (self._flags & doubted) == 0
        return is_trusted

    def remarks(self, product_code: str) -> tuple[str, ...]:
        """Return all remarks on a product, doubts first."""
        flags = int(self._flags[self.products.index(product_code)])
        return tuple(name for bit, name in enumerate(REMARKS) if flags >> bit & 1) if flags else ()

    def estimate(self, orders: OrderColumns) -> Floats:
        """Return the estimated hours to dispatch, shape (n_rows,); NaN for unknown products."""
        positions = self.products.positions([str(code) for code in orders.get(PRODUCT)])
        estimates = self._regressor.hours(np.maximum(positions, 0), orders)
        estimates[positions < 0] = np.nan
        return estimates

    def bounds(self, product_codes: Sequence[str], estimates: Floats) -> tuple[Floats, Floats]:
        """Return the lower and upper bounds of the prediction intervals, each of shape (n_rows,).

        The share of orders that `metadata.interval.level` says is dispatched between them, where
        the order counts are in the range that the model saw of the products.

        Args:
            product_codes: codes among `products`, n_rows of them.
            estimates: hours to dispatch that the model gave for them, shape (n_rows,).

        Raises:
            KeyError: a code is not among `products`.
        """
        return self._intervals.around(self.products.known_positions(product_codes), estimates)

    def reach_of_noise(self, product_codes: Sequence[str], estimates: Floats) -> Floats:
        """Return how far the intervals would reach below and above without movement, shape (2, n).

        Raises:
            KeyError: a code is not among `products`.
        """
        positions = self.products.known_positions(product_codes)
        return self._intervals.reach_of_noise(positions, estimates)

    def predict(self, orders: OrderColumns) -> Predictions:
        """Return all that the model says to orders.

        Raises:
            KeyError: a product code is not among `products`.
        """
        return self.predict_at(self.products.known_positions(orders.get(PRODUCT)), orders)

    def predict_at(self, positions: Positions, orders: OrderColumns) -> Predictions:
        """Return all that the model says to orders of the products at these positions."""
        placed = np.asarray(orders.get(ORDERS), dtype=np.float64)
        hours = self._regressor.hours(positions, orders)
        return Predictions(hours, *self._intervals.at(positions, placed, hours))

    def predict_one(
        self, position: int, order: Mapping[str, Any]
    ) -> tuple[float, float, float, bool]:
        """Return what `predict_at` says to one order, to the bit: hours, bounds, extrapolated."""
        hours = self._regressor.hours_of_one(position, order)
        return hours, *self._intervals.at_one(position, order[ORDERS], hours)

    @cached_property
    def _unusual_codes(self) -> dict[str, str]:
        """The codes that are not as they are normalised, by how that would be."""
        if self.products.are_plain:
            return {}
        pairs = ((normalised_code(code), code) for code in self.products)
        return {normalised: code for normalised, code in pairs if normalised != code}

    @cached_property
    def _similar_codes(self) -> Future[SimilarCodes]:
        return in_daemon_thread(SimilarCodes, self.products)

    @cached_property
    def _flags(self) -> npt.NDArray[np.uint16]:
        """A bit for each remark on each product, in the sequence of `REMARKS`."""
        flags = np.zeros(len(self.products), np.uint16)
        for bit, remark in enumerate(REMARKS):
            positions = self.products.positions(getattr(self.metadata.remarks, remark))
            flags[positions[positions >= 0]] |= 1 << bit
        return flags

    @cached_property
    def _week(self) -> npt.NDArray[np.int16]:
        return self.metadata.week_of_products

    @cached_property
    def _intervals(self) -> IntervalTable:
        return IntervalTable(self.metadata, self._week)


def load_model(store: ObjectStore, key: str | None = None) -> DispatchModel:
    """Read, verify and try out the newest model of a store, or the one under `key`.

    Raises:
        ArtifactError: there is no model, or it does not pass a check; the message says which.
        StoreError: the store cannot be listed or read.
        WorkersError: the model cannot be tried in a process of its own.
    """
    key = key or newest_model_key(store)
    return try_artifact(key, store.read(key))


def try_artifact(key: str, content: bytes) -> DispatchModel:
    """Verify the bytes of an artifact, try out the model in it, and return that.

    The first request is fast then, also one for a code that is not written as it is known.

    Raises:
        ArtifactError: it does not pass a check; the message says which.
        WorkersError: its ONNX graph cannot be tried in a process of its own.
    """
    model = read_artifact(key, content)
    if model.curves is not None:
        check_curves(key, content, model.curves, model.products)
    check_answers(model)
    model.position_of("")
    give_back_memory()
    return model


def read_artifact(key: str, content: bytes) -> DispatchModel:
    """Verify the bytes of an artifact and return the model in it.

    Its ONNX graph is looked at only if there are no curves: then it has to pass a trial.

    Raises:
        ArtifactDamaged: its hash is another than its name says.
        ArtifactError: name, hash, format or content are not those of a model of ours.
        WorkersError: its graph cannot be tried in a process of its own.
    """
    version = name_of(key)
    check_hash(key, version, content)
    carried = read_properties(key, content)
    metadata = read_metadata(key, carried)
    if timestamp_of(key) != metadata.trained_at:
        raise ArtifactError(
            f"The model {key} was renamed: its metadata says that it was trained at "
            f"{metadata.trained_at.isoformat()}. Restore its name."
        )
    if CURVES_KEY in carried:
        curves = read_curves(key, carried, len(metadata.catalogue.rows))
        return DispatchModel(version, metadata, curves)
    check_graph_alone(key, content, metadata.catalogue)
    return DispatchModel(version, metadata, OnnxRegressor(content, metadata.catalogue.product_code))


def newest_model_key(store: ObjectStore) -> str:
    """Return the key of the pinned model of a store, or else of the newest not withdrawn.

    Raises:
        ArtifactError: there is none.
        StoreError: the store cannot be listed.
    """
    newest = newest_usable_model(store)
    if newest is None:
        raise ArtifactError(
            f"There is no model under {store.url}/{MODELS}/: run the train-model stage on this "
            "store first (python -m pipeline.train_model STORE)."
        )
    return newest.key


def check_hash(key: str, version: str, content: bytes) -> None:
    """See that the bytes of an artifact are those that its name tells.

    Raises:
        ArtifactDamaged: they are not.
        ArtifactError: the name tells nothing of them.
    """
    named = hash_of_version(version)
    if not named:
        raise ArtifactError(
            f"The name of the model {key} does not end in a hash of 16 hex digits, "
            "so its content cannot be verified. Restore its name."
        )
    actual = short_hash(content)
    if named != actual:
        raise ArtifactDamaged(
            f"The model {key} is damaged or was renamed: the hash of its {len(content):,} bytes "
            f"is {actual}, its name says {named}. Remove it, or restore it from a backup."
        )

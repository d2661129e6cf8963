"""An ONNX artifact in the store -> a verified model that gives estimates.

This is the serving side: it imports neither the training code nor its libraries.
"""

import json
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import cached_property
from threading import Thread
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime
from pydantic import ValidationError

from pipeline.model.arrays import Floats
from pipeline.model.artifact import (
    CATALOGUE_KEY,
    HOURS_OUTPUT,
    METADATA_KEY,
    MODELS,
    hash_of_version,
    short_hash,
)
from pipeline.model.catalogue import columns_of
from pipeline.model.decisions import newest_usable_model
from pipeline.model.metadata import DOUBTS, FORMAT_VERSION, READABLE_FORMATS, REMARKS, ModelMetadata
from pipeline.model.order import FEATURES, OPTIONAL, ORDERS, PRODUCT, normalised_code, number_or_nan
from pipeline.model.product_codes import Positions, ProductCodes
from pipeline.model.similar_codes import SimilarCodes
from pipeline.stages.errors import ArtifactError
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import name_of, timestamp_of

WARM_UP_ORDERS = 0.0
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


class OrderColumns(Protocol):
    """The fields of orders as columns of equal length: a dictionary or a data frame."""

    def get(self, name: str, /) -> Any:
        """Return a column, or None where an optional field is missing."""


class DispatchModel:
    """A loaded model.

    Attributes:
        version: name of its artifact without folder and suffix.
        metadata: where it comes from and what it is.
    """

    def __init__(
        self, version: str, metadata: ModelMetadata, session: onnxruntime.InferenceSession
    ) -> None:
        """Put together what was read from an artifact."""
        self.version = version
        self.metadata = metadata
        self._session = session
        self._inputs = [tensor.name for tensor in session.get_inputs()]

    @property
    def products(self) -> ProductCodes:
        """The codes of the products that the model knows."""
        return self.metadata.catalogue.product_code

    def known_code(self, text: str) -> str | None:
        """Return the code under which the model knows what a text stands for, if it does.

        Artifacts may hold codes from before codes were normalised, so it is first taken as it is.
        """
        if text in self.products:
            return text
        code = normalised_code(text)
        return code if code in self.products else self._unusual_codes.get(code)

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

    def remarks(self, product_code: str) -> tuple[str, ...]:
        """Return all remarks on a product, doubts first."""
        flags = int(self._flags[self.products.index(product_code)])
        return tuple(name for bit, name in enumerate(REMARKS) if flags >> bit & 1) if flags else ()

    def estimate(self, orders: OrderColumns) -> Floats:
        """Return the estimated hours to dispatch, shape (n_rows,); NaN for unknown products."""
        codes = [str(code) for code in orders.get(PRODUCT)]
        inputs = {name: _input(name, orders, codes) for name in self._inputs}
        (hours,) = self._session.run([HOURS_OUTPUT], inputs)
        estimates = np.array(hours, dtype=np.float64).ravel()
        # scikit-learn's encoders give an unknown product some estimate.
        estimates[self.products.positions(codes) < 0] = np.nan
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
        return self._bounds_at(self.products.known_positions(product_codes), estimates)

    def reach_of_noise(self, product_codes: Sequence[str], estimates: Floats) -> Floats:
        """Return how far the intervals would reach below and above without movement, shape (2, n).

        Raises:
            KeyError: a code is not among `products`.
        """
        at_zero, growth, _ = self._reach_at(self.products.known_positions(product_codes))
        reach: Floats = at_zero + growth * estimates
        return reach

    def predict(self, orders: OrderColumns) -> Predictions:
        """Return all that the model says to orders.

        Outside of the range of orders seen with a product, nothing is known of its curve. There
        its interval reaches as far again for each width of that range that the order is away from
        it, as if the slope were off by as much as the interval reaches over one width, and holds
        no share of orders that could be told.

        Raises:
            KeyError: a product code is not among `products`.
        """
        catalogue = self.metadata.catalogue
        positions = self.products.known_positions(orders.get(PRODUCT))
        placed = np.asarray(orders.get(ORDERS), dtype=np.float64)
        hours = self.estimate(orders)
        least, most = catalogue.least_orders[positions], catalogue.most_orders[positions]
        distance = np.maximum(least - placed, placed - most)
        widening = 1 + np.maximum(distance, 0.0) / _range(least, most)
        return Predictions(hours, *self._bounds_at(positions, hours, widening), distance > 0)

    @cached_property
    def _unusual_codes(self) -> dict[str, str]:
        """The codes that are not as they are normalised, by how that would be."""
        pairs = ((normalised_code(code), code) for code in self.products)
        return {normalised: code for normalised, code in pairs if normalised != code}

    @cached_property
    def _similar_codes(self) -> Future[SimilarCodes]:
        made: Future[SimilarCodes] = Future()
        work = Thread(target=lambda: made.set_result(SimilarCodes(self.products)), daemon=True)
        work.start()
        return made

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
    def _intervals(self) -> Floats:
        """The multiples, the noise and the movement of each week's interval, shape (5, n_weeks)."""
        intervals = [
            self.metadata.interval,
            *(week.interval for week in self.metadata.earlier_weeks),
        ]
        return np.array(
            [
                (*each.multiples[:, 0], each.noise_base_hours, each.noise_growth, each.movement)
                for each in intervals
            ]
        ).T

    def _reach_at(self, positions: Positions) -> Floats:
        """Return what the reach of products below and above comes from, shape (3, 2, n).

        These are what the noise asks for where the estimate is zero, by how much that grows with
        each hour of the estimate, and by which share of itself the estimate moves; see
        `PredictionInterval.reach`.
        """
        interval = self._intervals[:, self._week[positions]]
        base, growth, movement = interval[2:]
        multiples = interval[:2] * self.metadata.catalogue.noise_of(positions)
        return np.array([multiples * base, multiples * growth, [movement, movement]])

    def _bounds_at(
        self, positions: Positions, hours: Floats, widening: Floats | float = 1.0
    ) -> tuple[Floats, Floats]:
        at_zero, growth, movement = self._reach_at(positions)
        below, above = np.hypot(at_zero + growth * hours, movement * hours) * widening
        return np.maximum(hours - below, 0.0), hours + above


def _range(least_orders: Floats, most_orders: Floats) -> Floats:
    """Return the widths of the ranges seen of products, in orders placed, shape (n_products,).

    Where there was one order count only, it is that count, and at least one order.
    """
    widths = most_orders - least_orders
    return np.where(widths > 0, widths, np.maximum(most_orders, 1.0))


def _input(name: str, orders: OrderColumns, codes: Sequence[str]) -> npt.NDArray[Any]:
    """Return a field of orders in the form that the artifact takes."""
    if name == PRODUCT:
        return np.array(codes, dtype=object).reshape(-1, 1)
    column = orders.get(name)
    if column is None:
        return np.full((len(codes), 1), np.nan)
    if name in OPTIONAL:
        column = [number_or_nan(value) for value in column]
    return np.asarray(column, dtype=np.float64).reshape(-1, 1)


def load_model(store: ObjectStore, key: str | None = None) -> DispatchModel:
    """Read, verify and try out the newest model of a store, or the one under `key`.

    Raises:
        ArtifactError: there is no model, or it does not pass a check; the message says which.
        StoreError: the store cannot be listed or read.
    """
    key = key or newest_model_key(store)
    return try_artifact(key, store.read(key))


def try_artifact(key: str, content: bytes) -> DispatchModel:
    """Verify the bytes of an artifact, try out the model in it, and return that.

    Raises:
        ArtifactError: it does not pass a check; the message says which.
    """
    model = read_artifact(key, content)
    _warm_up(model)
    return model


def read_artifact(key: str, content: bytes) -> DispatchModel:
    """Verify the bytes of an artifact and return the model in it.

    Raises:
        ArtifactError: name, hash, format or content are not those of a model of ours.
    """
    version = name_of(key)
    _check_hash(key, version, content)
    session = _open_session(key, content)
    metadata = _read_metadata(key, session)
    if timestamp_of(key) != metadata.trained_at:
        raise ArtifactError(
            f"The model {key} was renamed: its metadata says that it was trained at "
            f"{metadata.trained_at.isoformat()}. Restore its name."
        )
    return DispatchModel(version, metadata, session)


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


def _check_hash(key: str, version: str, content: bytes) -> None:
    named = hash_of_version(version)
    if not named:
        raise ArtifactError(
            f"The name of the model {key} does not end in a hash of 16 hex digits, "
            "so its content cannot be verified. Restore its name."
        )
    actual = short_hash(content)
    if named != actual:
        raise ArtifactError(
            f"The model {key} is damaged or was renamed: the hash of its {len(content):,} bytes "
            f"is {actual}, its name says {named}. Remove it, or restore it from a backup."
        )


def _open_session(key: str, content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no class of their own in common
        raise ArtifactError(f"The model {key} is not an ONNX model: {_reason(error)}") from error
    names = {tensor.name for tensor in (*session.get_inputs(), *session.get_outputs())}
    if names.union(OPTIONAL) != {*FEATURES, HOURS_OUTPUT}:
        raise ArtifactError(
            f"The model {key} is of another kind: its inputs and outputs are "
            f"{', '.join(sorted(names))}."
        )
    return session


def _read_metadata(key: str, session: onnxruntime.InferenceSession) -> ModelMetadata:
    carried = session.get_modelmeta().custom_metadata_map
    try:
        facts = json.loads(carried[METADATA_KEY])
        format_version = int(facts["format_version"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"The model {key} carries no metadata, so it is not one that this pipeline made."
        ) from error
    if format_version not in READABLE_FORMATS:
        raise ArtifactError(
            f"The model {key} has format {format_version}, and this code knows formats up to "
            f"{FORMAT_VERSION}. Deploy the code that it was made with, or train it again."
        )
    try:
        if CATALOGUE_KEY in carried:
            facts["catalogue"] = columns_of(carried[CATALOGUE_KEY])
        return ModelMetadata.model_validate(facts)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ArtifactError(f"The metadata in the model {key} is incomplete: {faults}.") from error
    except ValueError as error:
        raise ArtifactError(f"The products of the model {key} cannot be read: {error}") from error


def _warm_up(model: DispatchModel) -> None:
    """Make one prediction, so that the first request is fast and a broken model is never served."""
    product = model.metadata.catalogue.product_code[0]
    try:
        (hours,) = model.estimate({PRODUCT: [product], ORDERS: [WARM_UP_ORDERS]})
    except Exception as error:  # see _open_session
        raise ArtifactError(f"The model {model.version} does not work: {_reason(error)}") from error
    if not 0 <= hours < np.inf:
        raise ArtifactError(
            f"The model {model.version} does not work: it estimates {hours} h for {product} and "
            f"{WARM_UP_ORDERS:g} orders."
        )


def _reason(error: Exception) -> str:
    """Return the first line of an error's message, for our own in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__

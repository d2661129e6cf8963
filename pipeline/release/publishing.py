"""A fitted model and its metadata -> an ONNX artifact in the store."""

from contextlib import suppress

import numpy as np
import pandas as pd
from onnx import helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

from pipeline.curves.estimator import DispatchCurve
from pipeline.curves.onnx_converter import curves_of, register_converters
from pipeline.model.artifact import (
    CATALOGUE_KEY,
    CURVES_KEY,
    HOURS_OUTPUT,
    METADATA_KEY,
    MODELS,
    PUBLISHED_KEY,
    artifact_key,
)
from pipeline.model.catalogue import to_text
from pipeline.model.decisions import newest_not_withdrawn
from pipeline.model.metadata import ModelMetadata
from pipeline.model.onnx_regressor import OnnxRegressor
from pipeline.model.order import FEATURES, PRODUCT
from pipeline.model.reader import read_artifact
from pipeline.orders.features import features_of
from pipeline.stages.errors import ArtifactError, ObjectExists, Overtaken
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import name_of

TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}
MAX_DIFFERENCE_HOURS = 1e-4
MAX_RELATIVE_DIFFERENCE = 2e-6


def write_artifact(model: DispatchCurve, metadata: ModelMetadata) -> bytes:
    """Return a fitted model and its metadata as the bytes of an ONNX file, always the same."""
    register_converters()
    onnx_model = convert_sklearn(
        model,
        name="time_to_dispatch",
        initial_types=[
            (name, StringTensorType([None, 1]) if name == PRODUCT else DoubleTensorType([None, 1]))
            for name in FEATURES
        ],
        final_types=[(HOURS_OUTPUT, DoubleTensorType([None, 1]))],
        target_opset=TARGET_OPSET,
    )
    facts = {
        METADATA_KEY: metadata.model_dump_json(),
        CATALOGUE_KEY: to_text(metadata.catalogue),
    }
    curves = curves_of(model, metadata.catalogue.product_code)
    if curves is not None:
        facts[CURVES_KEY] = curves.packed()
    helper.set_model_props(onnx_model, facts)
    # skl2onnx takes them from a set, whose order is another in each process.
    operator_sets = sorted(onnx_model.opset_import, key=lambda each: each.domain)
    del onnx_model.opset_import[:]
    onnx_model.opset_import.extend(operator_sets)
    content: bytes = onnx_model.SerializeToString(deterministic=True)
    return content


def store_artifact(store: ObjectStore, folder: str, metadata: ModelMetadata, content: bytes) -> str:
    """Store an artifact as a new object and return its key.

    Args:
        store: gets the artifact.
        folder: `models` makes it the newest model, `refused` only keeps it.
        metadata: what the artifact says of itself.
        content: the artifact.

    Raises:
        Overtaken: it would not become the newest model, since there is a newer one.
        StoreError: the store cannot be listed or written.
    """
    key = artifact_key(folder, metadata.trained_at, content)
    if folder == MODELS:
        newest = newest_not_withdrawn(store)
        if newest and newest.key != key and newest.moment >= metadata.trained_at:
            raise Overtaken(name_of(newest.key))
    store.write_new(key, content)
    if folder == MODELS:
        with suppress(ObjectExists):
            store.write_new(PUBLISHED_KEY, f"{key}\n".encode())
    return key


def check_agreement(
    model: DispatchCurve, metadata: ModelMetadata, content: bytes, orders: pd.DataFrame
) -> None:
    """Read an artifact back as the service will, and compare its estimates with the model's.

    Its ONNX graph is asked for the same estimates, also where the service asks its curves.

    Args:
        model: what the artifact was made from.
        metadata: what the artifact says of itself.
        content: the artifact.
        orders: the features of rows on which the two must agree to 1e-4 h,
            or to 2e-6 of the estimate if that is more.

    Raises:
        ArtifactError: the artifact cannot be read, or the two disagree.
    """
    key = artifact_key(MODELS, metadata.trained_at, content)
    codes = metadata.catalogue.product_code
    read = read_artifact(key, content)
    estimates = [read.estimate(orders)]
    if read.curves is not None:
        positions = pd.Index(codes).get_indexer(pd.Index(orders[PRODUCT]))
        estimates.append(OnnxRegressor(content, codes).hours(positions, orders))
    fitted = model.predict(features_of(orders))
    tolerance = np.maximum(MAX_DIFFERENCE_HOURS, MAX_RELATIVE_DIFFERENCE * np.abs(fitted))
    for written in estimates:
        difference = np.abs(written - fitted)
        if not (difference <= tolerance).all():
            raise ArtifactError(
                "The model cannot be published: after conversion to ONNX its estimates differ by "
                f"up to {difference.max():.2g} h from those of scikit-learn. Please report this."
            )

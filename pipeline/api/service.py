"""What all requests to one service share: its model, its store and its metrics."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import inf
from time import monotonic

from pipeline.api.answers import ModelAnswers
from pipeline.api.metrics import ServiceMetrics
from pipeline.api.product_curves import CurveAnswers, cache_control
from pipeline.model.past_trainings import PastTrainings
from pipeline.model.reader import DispatchModel, load_model
from pipeline.stages.logs import LOG
from pipeline.stages.settings import ServeSettings
from pipeline.stores.base import ObjectStore, open_store

MAX_AHEAD = timedelta(minutes=10)
"""Clocks of two machines may differ by so much."""


class DispatchService:
    """The state of a service.

    Attributes:
        settings: what it was told.
        metrics: what it counts.
        is_draining: whether it is about to stop, and answers only those who do not know that yet.
        served_since: when the model that is served was taken, by `time.monotonic`.
        past_trainings: what is known of the trainings of the store.
        reading_history: held by the request that reads them.
    """

    def __init__(self, settings: ServeSettings) -> None:
        """Start without a model, which is loaded at the first request at the latest."""
        self.settings = settings
        self.metrics = ServiceMetrics()
        self.is_draining = False
        self.served_since = -inf
        self.past_trainings = PastTrainings()
        self.reading_history = asyncio.Lock()
        self._answers: ModelAnswers | None = None

    @cached_property
    def store(self) -> ObjectStore:
        """The store with the models.

        Raises:
            StoreError: it cannot be opened.
        """
        return open_store(self.settings.store, self.settings.store_seconds)

    def forget_store(self) -> None:
        """Open the store anew when it is needed: connections to it are for one process alone."""
        self.__dict__.pop("store", None)

    @property
    def has_model(self) -> bool:
        """Whether a model is loaded."""
        return self._answers is not None

    def answers(self) -> ModelAnswers:
        """Return what answers now; load the configured model if there is none yet.

        Raises:
            PipelineError: it cannot be loaded.
        """
        if self._answers is not None:
            return self._answers
        return self.serve(load_model(self.store, self.settings.model_key))

    def curves(self) -> CurveAnswers:
        """Return what answers with curves now; load the model as `answers` does.

        Raises:
            PipelineError: it cannot be loaded.
        """
        self.answers()
        return self._curves

    def serve(self, model: DispatchModel) -> ModelAnswers:
        """Let a verified model answer from now on, and return what answers.

        Requests that are being answered keep the model that they began with.
        """
        self.served_since = monotonic()
        self.metrics.describe_model(model)
        self._answers = ModelAnswers(model, self.metrics.product_labels)
        self._curves = CurveAnswers(model, cache_control(self.settings))
        LOG.info(
            f"Serving {model.version} with {len(model.products):,} products, trained on "
            f"{model.metadata.dataset.key}."
        )
        if model.metadata.refused_because:
            reasons = "; ".join(failure.summary for failure in model.metadata.refused_because)
            LOG.warning(f"This model was refused: {reasons}.")
        ahead = model.metadata.trained_at - datetime.now(UTC)
        if ahead > MAX_AHEAD:
            LOG.warning(
                f"This model is dated {ahead / timedelta(days=1):,.2f} days ahead of the clock, so "
                "no newer one takes its place until then. Set the clock right, or withdraw the "
                "model with ttd-models."
            )
        return self._answers

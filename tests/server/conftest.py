"""What the tests of the server share."""

import logging
from collections.abc import Iterator

import pytest

from pipeline.stages.logs import HANDLER_NAME, configure_logging


@pytest.fixture
def log_to_stderr() -> Iterator[None]:
    """Let the test log as a stage does, and take the handler away again in the end."""
    configure_logging("INFO", "text")
    yield
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if handler.name == HANDLER_NAME]:
        root.removeHandler(handler)
    logging.captureWarnings(False)

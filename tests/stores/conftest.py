"""What the tests of stores share."""

import gc
import threading
from collections.abc import Iterator

import pytest

from pipeline.stages.daemon_threads import in_daemon_thread
from tests.support.local_servers import serving
from tests.support.store_faults import FaultyProxy


@pytest.fixture
def proxy(
    s3_store_url: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultyProxy]:
    """Run a proxy in front of the S3 server, which the stores opened from now on will use."""
    with serving(FaultyProxy(s3_endpoint)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        yield server
        server.released.set()
        for thread in threading.enumerate():  # those that were left alone
            if thread.name == in_daemon_thread.__name__:
                thread.join()
        gc.collect()  # warn of their sockets here, where it is allowed

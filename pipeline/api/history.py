"""The routes about the past: what became of the trainings of the store, and the reports on them."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from fastapi.responses import HTMLResponse

from pipeline.api.browser_rules import hash_source, own_sources, page_headers
from pipeline.api.predictions import Service
from pipeline.api.schemas import HistoryAnswer
from pipeline.model.artifact import REPORTS
from pipeline.model.page_style import REPORT_SCRIPT
from pipeline.stages.errors import ObjectMissing

NO_REPORT = {
    "description": "The store has no report on the model.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}},
}
VERSION = r"^time_to_dispatch_[0-9T-]{26}_[0-9a-f]{16}$"
"""What a model can be called, and nothing that leads elsewhere in a store."""

SCRIPTS = f"script-src {hash_source(REPORT_SCRIPT.encode())}"

router = APIRouter(tags=["model"])


@router.get("/api/v0.2/history")
async def get_history(service: Service) -> HistoryAnswer:
    """Return what became of the newest trainings of the store, from its objects.

    They are read in a thread, each once; one request at a time reads, so that threads are left.
    """
    served = service.answers().model.version
    async with service.reading_history:
        history = await asyncio.to_thread(service.past_trainings.history, service.store)
    return HistoryAnswer(
        model_version=served,
        usable_version=history.usable_version,
        trainings=list(history.trainings),
        older=history.older,
    )


@router.get("/report", response_class=HTMLResponse, responses={404: NO_REPORT})
async def get_report(service: Service) -> HTMLResponse:
    """Return the report on the training of the model that is served, as a page."""
    return await _report(service, service.answers().model.version)


@router.get("/reports/{version}", response_class=HTMLResponse, responses={404: NO_REPORT})
async def get_report_on(
    service: Service, version: Annotated[str, Path(pattern=VERSION, description="of the model")]
) -> HTMLResponse:
    """Return the report on any training, published or refused, as a page."""
    return await _report(service, version)


async def _report(service: Service, version: str) -> HTMLResponse:
    try:
        page = await asyncio.to_thread(service.store.read, f"{REPORTS}/{version}.html")
    except ObjectMissing as error:
        raise HTTPException(404, f"There is no report on {version}: {error}") from error
    styles = f"style-src {own_sources(page, b'style')}"
    # It comes from the store, and may do nothing but show itself and run the script that we know.
    return HTMLResponse(page, headers=page_headers(styles, SCRIPTS, "sandbox allow-scripts"))

"""The routes about the service itself: its model and products, its health, and its metrics."""

import asyncio
from bisect import bisect_right
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Path, Query, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import to_json

from pipeline.api.answers import UnknownProduct
from pipeline.api.errors import PROBLEM_MEDIA_TYPE
from pipeline.api.model_answer import model_answer
from pipeline.api.predictions import Service
from pipeline.api.product_curves import PRODUCT_CURVES, product_facts
from pipeline.api.schemas import (
    HealthAnswer,
    LivenessAnswer,
    ModelAnswer,
    ProductCurveAnswer,
    ProductsAnswer,
)
from pipeline.api.unknown_products import UnknownProducts
from pipeline.model.product_codes import ProductCodes
from pipeline.stages.package_version import package_version
from pipeline.stages.settings import git_commit

MAX_PRODUCTS_ON_PAGE = 100
"""On one page, whose curves take some 20 ms."""
UNKNOWN_PRODUCT = {
    "description": "The model does not know the product.",
    "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}

router = APIRouter()


@router.get("/api/v0.1/model", tags=["model"])
async def get_model(service: Service) -> ModelAnswer:
    """Return the version and the metadata of the model that is served; long lists are cut."""
    return model_answer(service.answers().model)


@router.get("/api/v0.2/products", response_model=ProductsAnswer, tags=["model"])
async def list_products(
    service: Service,
    product_code: Annotated[
        str | SkipJsonSchema[None], Query(description="only this product")
    ] = None,
    search: Annotated[
        str,
        Query(description="only products whose code contains this; the case of A to Z is ignored"),
    ] = "",
    after: Annotated[str, Query(description="only products after this code")] = "",
    limit: Annotated[
        int, Query(ge=1, le=MAX_PRODUCTS_ON_PAGE, description="most products on a page")
    ] = 20,
    curves: Annotated[bool, Query(description="whether to give their curves")] = True,
) -> Response:
    """List the products that the model knows by code, with their ranges and their curves."""
    served = service.answers().model
    codes = served.products
    if product_code is None:
        positions = await _found(codes, search, bisect_right(codes, after), limit + 1)
    elif (position := served.position_of(product_code)) is not None:
        positions = [position]
    else:
        fault = UnknownProducts(served).fault(product_code)
        raise RequestValidationError([{**fault, "loc": ("query", "product_code")}])
    answer = {
        "model_version": served.version,
        "interval_level": served.metadata.interval.level,
        "products": product_facts(served, positions[:limit], curves),
        "next_after": codes[positions[limit - 1]] if len(positions) > limit else None,
    }
    return Response(to_json(answer), media_type="application/json")


@router.get(
    PRODUCT_CURVES + "{product_code:path}",
    response_model=ProductCurveAnswer,
    responses={304: {"description": "The client has it already."}, 404: UNKNOWN_PRODUCT},
    tags=["model"],
)
async def get_product(
    service: Service,
    product_code: Annotated[str, Path(description="as the list has it; a slash may stay one")],
    if_none_match: Annotated[
        str | SkipJsonSchema[None], Header(description="tags (`ETag`) of what the client has")
    ] = None,
) -> Response:
    """Return a product with its curve, which caches may keep: it answers every order count."""
    model = service.answers().model
    known_tags = None if if_none_match is None else if_none_match.encode("latin-1")
    try:
        answer = service.curves().answer(product_code, known_tags)
    except UnknownProduct as error:
        fault = UnknownProducts(model).fault(product_code)
        service.metrics.count_refusal(fault["type"])
        raise HTTPException(404, f"{fault['msg']}.") from error
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.content, answer.status, headers)


async def _found(codes: ProductCodes, text: str, start: int, most: int) -> list[int]:
    """Return where the first codes stand that contain a text, from one on.

    A million are looked through in 20 ms, and other requests get their turn every 0.2 ms.
    """
    found: list[int] = []
    for part in codes.containing(text, start):
        found += islice(part, most - len(found))
        if len(found) == most:
            break
        await asyncio.sleep(0)
    return found


@router.get("/healthz", tags=["operations"])
async def get_liveness(service: Service) -> LivenessAnswer:
    """Tell that the process is alive, which code it runs and which model it serves."""
    return LivenessAnswer(
        status="ok",
        version=package_version(),
        model_version=service.answers().model.version if service.has_model else None,
        git_commit=git_commit(),
    )


@router.get("/readyz", responses={503: {"model": HealthAnswer}}, tags=["operations"])
async def get_readiness(service: Service, response: Response) -> HealthAnswer:
    """Tell whether the service is ready: it has a model and is not about to stop."""
    if service.has_model and not service.is_draining:
        return HealthAnswer(status="ready")
    response.status_code = 503
    return HealthAnswer(status="about to stop" if service.is_draining else "no model is loaded")


@router.get("/metrics", response_class=PlainTextResponse, tags=["operations"])
async def get_metrics(service: Service) -> Response:
    """Return the metrics in the text format of Prometheus."""
    return Response(service.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

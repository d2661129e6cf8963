"""What the OpenAPI schema says beyond what FastAPI sees in the routes.

The errors that the middleware and the error handlers answer with, and the API key. It says the same
whichever model is served, and without one, so that clients generated from it stay right.
"""

import asyncio
from threading import Lock
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.routing import Route

from pipeline.api.docs_pages import TITLE
from pipeline.api.errors import PROBLEM_MEDIA_TYPE, PROBLEM_PREFIX
from pipeline.api.keys import KEY_HEADER, OPEN_PATHS
from pipeline.api.schemas import ErrorAnswer, Problem
from pipeline.api.service import DispatchService

API_VERSION = "0.2"
"""The newest version that is served; the older ones stay."""

OVERLOADED = "No model can be loaded, or there are too many requests at once."
HEADERS_TOO_LONG = "The headers are too long. The connection is closed."
ERRORS_OF_BODIES = {
    400: "The body cannot be read.",
    408: "The request took too long to arrive. The connection is closed.",
    413: "The body is too long.",
    415: "The body is compressed.",
}
NO_KEY = "The API key is missing or wrong."
INVALID = "The request is not valid."
SCHEMAS = "#/components/schemas/"


class DescribedAPI(FastAPI):
    """FastAPI with a fuller description of itself."""

    def __init__(self, service: DispatchService, **options: Any) -> None:
        """Describe the API of a service.

        Its operations have the names of the functions that answer them, and so have the functions
        of generated clients.

        Args:
            service: tells whether a key is needed.
            options: FastAPI's own.
        """
        self._making = Lock()
        super().__init__(
            title=TITLE,
            version=API_VERSION,
            generate_unique_id_function=lambda route: route.name,
            docs_url=None,  # see docs_pages
            redoc_url=None,
            **options,
        )
        self.state.service = service

    def setup(self) -> None:
        """Add FastAPI's own routes; the schema is made in a thread, as it takes 0.1 s."""
        super().setup()
        routes = (route for route in self.routes if isinstance(route, Route))
        (made_here,) = (route for route in routes if route.path == self.openapi_url)

        async def get_openapi(request: Request) -> Response:
            await asyncio.to_thread(self.openapi)
            response: Response = await made_here.endpoint(request)
            return response

        self.router.routes.remove(made_here)
        self.add_route(made_here.path, get_openapi, include_in_schema=False)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI schema, which is made at the first call."""
        with self._making:
            if self.openapi_schema is None:
                _complete(super().openapi(), bool(self.state.service.settings.api_keys))
            return super().openapi()


def _complete(schema: dict[str, Any], needs_key: bool) -> None:
    """Add to what FastAPI says the errors of all operations, and the key if one is needed."""
    components = schema["components"]
    for model in (ErrorAnswer, Problem):
        described = model.model_json_schema(ref_template=SCHEMAS + "{model}")
        components["schemas"] |= described.pop("$defs", {}) | {model.__name__: described}
    if needs_key:
        key = {"type": "apiKey", "in": "header", "name": KEY_HEADER}
        components["securitySchemes"] = {KEY_HEADER: key}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _add_errors(path, method, operation, needs_key and path not in OPEN_PATHS)


def _add_errors(path: str, method: str, operation: dict[str, Any], needs_key: bool) -> None:
    """Add the errors that every operation of this kind can have, in the form of its version."""
    is_problem = path.startswith(PROBLEM_PREFIX)
    media_type = PROBLEM_MEDIA_TYPE if is_problem else "application/json"
    responses = operation["responses"]
    errors = {431: HEADERS_TOO_LONG} | ({} if "503" in responses else {503: OVERLOADED})
    if method == "post":
        errors |= ERRORS_OF_BODIES
    if needs_key:
        operation["security"] = [{KEY_HEADER: []}]
        errors |= {401: NO_KEY}
    if is_problem and "422" in responses:
        errors |= {422: INVALID}
    name = Problem.__name__ if is_problem else ErrorAnswer.__name__
    for status, description in errors.items():
        content = {media_type: {"schema": {"$ref": SCHEMAS + name}}}
        responses[str(status)] = {"description": description, "content": content}

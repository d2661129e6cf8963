"""What the OpenAPI schema says beyond what FastAPI sees in the routes.

The product codes that the model knows, the errors that the middleware and the error handlers
answer with, and the API key.
"""

from copy import deepcopy
from typing import Any

from fastapi import FastAPI

from pipeline.api.errors import PROBLEM_MEDIA_TYPE, PROBLEM_PREFIX
from pipeline.api.keys import KEY_HEADER, OPEN_PATHS
from pipeline.api.schemas import ErrorAnswer, Problem, TimeToDispatchRequest
from pipeline.api.service import DispatchService
from pipeline.model.order import PRODUCT, Order

API_VERSION = "0.2"
"""The newest version that is served; the older ones stay."""

OVERLOADED = "No model can be loaded, or there are too many requests at once."
ERRORS_OF_BODIES = {400: "The body cannot be read.", 413: "The body is too long."}
TOO_SLOW = "The request took too long to arrive. There is no body, and the connection is closed."
NO_KEY = "The API key is missing or wrong."
INVALID = "The request is not valid."
SCHEMAS = "#/components/schemas/"


class DescribedAPI(FastAPI):
    """FastAPI with a fuller description of itself."""

    def __init__(self, service: DispatchService, **options: Any) -> None:
        """Describe the API of a service.

        Args:
            service: tells which products there are, and whether a key is needed.
            options: FastAPI's own.
        """
        super().__init__(title="Time to dispatch", version=API_VERSION, **options)
        self.state.service = service

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI schema as it is for the model that is served now.

        Raises:
            PipelineError: there is no model.
        """
        service: DispatchService = self.state.service
        schema = deepcopy(super().openapi())
        components = schema["components"]
        for model in (ErrorAnswer, Problem):
            described = model.model_json_schema(ref_template=SCHEMAS + "{model}")
            components["schemas"] |= described.pop("$defs", {}) | {model.__name__: described}
        codes = service.answers().model.metadata.catalogue.product_code
        for request in (TimeToDispatchRequest, Order):
            properties = components["schemas"][request.__name__]["properties"]
            properties[PRODUCT] |= {"enum": codes, "examples": codes[:1]}
        filters = schema["paths"]["/api/v0.2/products"]["get"]["parameters"]
        filters[0]["schema"] = {"$ref": f"{SCHEMAS}{Order.__name__}/properties/{PRODUCT}"}
        needs_key = bool(service.settings.api_keys)
        if needs_key:
            key = {"type": "apiKey", "in": "header", "name": KEY_HEADER}
            components["securitySchemes"] = {KEY_HEADER: key}
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                _add_errors(path, method, operation, needs_key and path not in OPEN_PATHS)
        return schema


def _add_errors(path: str, method: str, operation: dict[str, Any], needs_key: bool) -> None:
    """Add the errors that every operation of this kind can have, in the form of its version."""
    is_problem = path.startswith(PROBLEM_PREFIX)
    media_type = PROBLEM_MEDIA_TYPE if is_problem else "application/json"
    responses = operation["responses"]
    errors = {} if "503" in responses else {503: OVERLOADED}
    if method == "post":
        errors |= ERRORS_OF_BODIES
        responses["408"] = {"description": TOO_SLOW}
    if needs_key:
        operation["security"] = [{KEY_HEADER: []}]
        errors |= {401: NO_KEY}
    if is_problem and "422" in responses:
        errors |= {422: INVALID}
    name = Problem.__name__ if is_problem else ErrorAnswer.__name__
    for status, description in errors.items():
        content = {media_type: {"schema": {"$ref": SCHEMAS + name}}}
        responses[str(status)] = {"description": description, "content": content}

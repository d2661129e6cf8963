"""What a request is told of products that the model does not know: which others may be meant."""

from pipeline.api.faults import PydanticFault
from pipeline.model.order import PRODUCT
from pipeline.model.reader import DispatchModel

MAX_SEARCHES_IN_REQUEST = 10
"""A search takes some 0.3 ms, and a batch may ask for thousands of unknown products."""
WHERE_ALL_ARE = "GET /api/v0.2/products lists all"


class UnknownProducts:
    """Tells of unknown products in one request, and looks for similar ones only so many times."""

    def __init__(self, model: DispatchModel) -> None:
        """Begin with a request to a model."""
        self._model = model
        self._faults: dict[str, PydanticFault] = {}

    def fault(self, code: str) -> PydanticFault:
        """Return the fault of asking for a product that is not in the model.

        Its place is relative to the order.
        """
        if code not in self._faults:
            self._faults[code] = {
                "type": "unknown_product",
                "loc": (PRODUCT,),
                "msg": self._message(code),
                "input": code,
            }
        return self._faults[code]

    def _message(self, code: str) -> str:
        """Name the closest products, if there are any and the request has not had too many."""
        known = len(self._model.products)
        told = f"This product is not among the {known:,} that the model knows"
        can_search = len(self._faults) < MAX_SEARCHES_IN_REQUEST
        similar = self._model.similar_codes(code) if can_search else []
        if similar:
            told += f"; the closest: {', '.join(map(repr, similar))}"
        return f"{told}; {WHERE_ALL_ARE}"

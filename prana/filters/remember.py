"""Good answers on their way, kept for the time when there are none."""

from prana.fallback.last_good import LastGood
from prana.request import Handler, Request, Response


class Remember:
    """Only where a chain has `last_good`: the others do not pay for it."""

    def __init__(self, last_good: LastGood) -> None:
        self._last_good = last_good

    async def __call__(self, request: Request, next: Handler) -> Response:
        response = await next(request)
        self._last_good.offer(request, response)
        return response

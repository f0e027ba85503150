"""One time budget for all attempts."""

from collections.abc import Callable

from prana.request import Handler, Request, Response


class Deadline:
    """Fixes the moment by which the response head must be there. The wire and the waits between attempts obey it."""

    def __init__(self, timeout_s: float, clock: Callable[[], float]) -> None:
        self._timeout_s = timeout_s
        self._clock = clock

    async def __call__(self, request: Request, next: Handler) -> Response:
        request.deadline_s = self._clock() + self._timeout_s
        return await next(request)

"""One time budget for all attempts."""

from collections.abc import Awaitable

from prana.request import Handler, Request, Response


class Deadline:
    """Fixes the moment by which the response head must be there. The wire and the waits between attempts obey it.

    It counts from the arrival of the request, so that a wait for the first registry read is part of it.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    def __call__(self, request: Request, next: Handler) -> Awaitable[Response]:
        request.deadline_s = request.received_s + self._timeout_s
        return next(request)  # not awaited here: there is nothing left to do, and a coroutine less to pass

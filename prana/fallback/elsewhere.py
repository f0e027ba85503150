"""Another service, asked for the same."""

from collections.abc import Awaitable, Callable

from prana.errors import Fault, ProxyError
from prana.fallback.substitute import Kind
from prana.request import Request, Response
from prana.service import Service

Find = Callable[[str, bytes, bytes, float], Awaitable[Service | None]]
"""The service of a lower-case name, None when nobody has it. Waits for the first registry read as long as a call of
this method and path may take, and so many seconds at most unless that is 0; raises RegistryNotRead."""


class Elsewhere:
    """Goes through all of the other service, with its breaker, its limits and its retries, but for its own fallbacks:
    the chain that asks goes on instead. So nothing is asked in circles, and two services can stand in for each other.

    The timeout is the other's, counted from now: what is left of the first one is nothing just when that was too slow.
    What the caller itself allows still counts from the beginning.
    """

    kind = Kind.SERVICE

    def __init__(self, name: str, find: Find, clock: Callable[[], float]) -> None:
        self._name = name
        self._find = find
        self._clock = clock

    async def __call__(self, request: Request) -> Response | None:
        """None also for a WebSocket handshake, and for a request whose body is no longer at hand."""
        if request.upgrade is not None or not await _rewound(request):
            return None
        again = request.elsewhere(self._name, self._clock())
        try:
            service = await self._find(self._name, request.method, request.path, again.asked_timeout_s)
            return await self._ask(service, request, again) if service is not None else None
        except ProxyError as error:
            if error.fault is Fault.DOWNSTREAM:
                raise
            return None

    async def _ask(self, service: Service, request: Request, again: Request) -> Response | None:
        command = service.command_of(request.method, request.path)
        again.idle_timeout_s = command.policy.idle_timeout
        try:
            response = await command.handler(again)
        finally:
            request.attempts = [*request.attempts, *again.attempts]  # others may share the list
        if response.status >= 500:
            response.discard()
            return None
        request.idle_timeout_s = again.idle_timeout_s
        return response


async def _rewound(request: Request) -> bool:
    """Whether the body, if there is one, can be sent once more."""
    if request.body is None:
        return True
    await request.stop_upload()
    if not request.body.replayable:
        return False
    request.body.rewind()
    return True

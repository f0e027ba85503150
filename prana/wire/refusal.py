"""What a connection over `proxy.max_connections` gets."""

import asyncio
from collections.abc import Callable
from typing import Final

MAX_LINGERING: Final = 256
_LINGER_S: Final = 1.0

_PROBLEM = (
    b'{"type":"urn:prana:error:overload","title":"Too many connections","status":503,'
    b'"detail":"proxy.max_connections are open already","service":null,"request_id":null,"attempts":0}'
)
_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
    b"Proxy-Status: prana; error=connection_limit_reached\r\nRetry-After: 1\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_PROBLEM), _PROBLEM)
)


class Refusal(asyncio.Protocol):
    """Says why, and closes when the caller has, so that its request, still on the way, does not reset our answer.

    Waits a second for that; with `lingers` False not at all, for refusals must not become a crowd of their own.
    """

    def __init__(self, ended: Callable[["Refusal"], None], *, lingers: bool) -> None:
        self._ended = ended
        self._lingers = lingers
        self._cut: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(_ANSWER)  # type: ignore[attr-defined] # a stream transport
        if self._lingers:
            transport.write_eof()  # type: ignore[attr-defined] # as above
            self._cut = asyncio.get_running_loop().call_later(_LINGER_S, transport.abort)  # type: ignore[attr-defined]
        else:
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._cut is not None:
            self._cut.cancel()
        self._ended(self)

"""One attempt at one instance: a connection, the exchange on it, and the one replay that is always safe."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import inf

from prana.errors import ConnectionBroken, DeadlineExceeded
from prana.request import Request, Response
from prana.resilience.classify import is_idempotent
from prana.wire.headers import request_head
from prana.wire.limits import UPSTREAM_FRESH_IDLE_S
from prana.wire.pool import Address, Pool
from prana.wire.upstream import UpstreamConnection


@dataclass(frozen=True, slots=True)
class AttemptTimes:
    """Bounds of one attempt, in seconds."""

    attempt_timeout_s: float
    connect_timeout_s: float


class Client:
    """Sends requests to instances over pooled connections."""

    def __init__(self, pool: Pool, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._clock = clock

    async def send(self, request: Request, address: Address, times: AttemptTimes) -> Response:
        """Raises ProxyError. The response's `finish` gives the connection back."""
        now_s = self._clock()
        expires_s = min(now_s + times.attempt_timeout_s, request.deadline_s)
        left_s = expires_s - now_s
        if left_s <= 0:
            raise _too_late()
        head = request_head(request, authority(address), left_s)
        if request.upgrade is not None:
            return await self._handshake(request, address, head, times.connect_timeout_s, expires_s)
        warm = self._warm(request, address)
        if warm is not None:
            try:
                return await warm.exchange(request, head, left_s)
            except ConnectionBroken:
                # The server closed an idle connection while our request was on its way to it: the instance is
                # fine, and RFC 9110 section 9.2.2 allows the replay of what is idempotent.
                if warm.answered or not is_idempotent(request.method) or not _rewind(request):
                    raise
        connection = await self._pool.connect(address, min(times.connect_timeout_s, self._left_s(expires_s)))
        return await connection.exchange(request, head, self._left_s(expires_s))

    def _warm(self, request: Request, address: Address) -> UpstreamConnection | None:
        """An idle connection on which nothing has arrived: neither its end nor an answer that nobody asked for. One
        lost now cannot be made up for where a request has a body, which may be gone then, or an effect: such a request
        takes only one that was used lately."""
        replayable = request.body is None and is_idempotent(request.method)
        max_idle_s = inf if replayable else UPSTREAM_FRESH_IDLE_S
        while (warm := self._pool.idle(address, max_idle_s)) is not None and warm.has_unread():
            warm.close()
        return warm

    async def _handshake(
        self, request: Request, address: Address, head: bytes, connect_timeout_s: float, expires_s: float
    ) -> Response:
        """On a connection of its own, whatever becomes of it: no other caller's answer may come from one that was
        asked to leave HTTP (CVE-2026-73548)."""
        connection = await self._pool.connect(address, min(connect_timeout_s, self._left_s(expires_s)))
        connection.use_once()
        return await connection.exchange(request, head, self._left_s(expires_s))

    def _left_s(self, expires_s: float) -> float:
        left_s = expires_s - self._clock()
        if left_s <= 0:
            raise _too_late()
        return left_s


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("the time was over before the request could be sent")


def _rewind(request: Request) -> bool:
    if request.body is None:
        return True
    if not request.body.replayable:
        return False
    request.body.rewind()
    return True


@lru_cache(maxsize=1024)  # instances are few and called often
def authority(address: Address) -> bytes:
    host, _, port, _ = address
    return f"[{host}]:{port}".encode() if ":" in host else f"{host}:{port}".encode()

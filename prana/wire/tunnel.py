"""Two connections that have left HTTP behind: what one receives is written to the other.

No task copies bytes, and nothing is held here: a side that cannot write pauses the reading of the other, so that the
memory of a tunnel is that of two transports' write buffers.
"""

import asyncio
from collections.abc import Callable

from prana.request import End
from prana.wire.reset import reset

OnLost = Callable[[Exception | None], None]


class Tunnel:
    """Made from the instance's connection when that has switched; `run` joins the caller's to it.

    Each direction ends for itself: a FIN is passed on behind the last byte, the other direction goes on. A side that
    breaks off without one resets the other, for what is missing must not look complete.
    """

    def __init__(self, transport: asyncio.Transport, received: bytes, on_lost: OnLost) -> None:
        """`received` came behind the instance's 101. `on_lost` is told at once when the connection is gone."""
        transport.pause_reading()  # until there is somebody to write it to
        self._instance = _Side(self, transport, received, on_lost)
        self._caller: _Side | None = None
        self._over: asyncio.Future[None] | None = None
        self._closing = False
        self._end = End.COMPLETE
        self._idle_timeout_s = 0.0
        self._seen_bytes = 0
        self._quiet_since_s: float | None = None

    @property
    def received_bytes(self) -> int:
        """From the caller."""
        return self._caller.received_bytes if self._caller is not None else 0

    @property
    def sent_bytes(self) -> int:
        """To the caller, behind the 101."""
        return self._instance.received_bytes

    async def run(
        self, transport: asyncio.Transport, head: bytes, received: bytes, half_closed: bool, idle_timeout_s: float
    ) -> End:
        """Join the caller's connection, which has sent `received` already, and write it `head`. Returns when both
        connections are gone: how the tunnel ended, which is ABANDONED or BROKEN after the side that broke off."""
        self._over = asyncio.get_running_loop().create_future()
        self._idle_timeout_s = idle_timeout_s
        instance = self._instance
        caller = self._caller = _Side(self, transport, received, None)
        caller.other, instance.other = instance, caller
        caller.resume_reading()
        instance.resume_reading()
        caller.write(head + instance.take_early())
        instance.write(caller.take_early())
        caller.ended = half_closed
        for side in (caller, instance):
            if side.ended:
                self.ended(side)
            if side.gone:
                self.lost(side)
        try:
            await self._over
        finally:
            self._cut()  # when this was cancelled; else both are gone
        return self._end

    def expire(self, now_s: float) -> None:
        """Called once in a while: end a tunnel through which nothing has come for `idle_timeout_s`."""
        seen_bytes = self.received_bytes + self.sent_bytes
        if self._quiet_since_s is None or seen_bytes != self._seen_bytes:
            self._seen_bytes, self._quiet_since_s = seen_bytes, now_s
        elif now_s - self._quiet_since_s >= self._idle_timeout_s:
            self._cut() if self._closing else self.close()

    def close(self) -> None:
        """End both connections behind what is written already."""
        self._closing = True
        for side in self._sides():
            side.transport.close()

    def _cut(self) -> None:
        for side in self._sides():
            side.transport.abort()

    def _sides(self) -> list["_Side"]:
        return [side for side in (self._caller, self._instance) if side is not None]

    def ended(self, side: "_Side") -> None:
        """`side` has sent FIN: pass it on. TLS has no half-close that asyncio would know, so the end of one direction
        is the end of both there."""
        if self._over is None:
            return  # `run` will see it
        other = side.other.transport
        if side.other.ended or not other.can_write_eof():
            self.close()
        elif not other.is_closing():
            other.write_eof()

    def lost(self, side: "_Side") -> None:
        """The connection of `side` is gone."""
        if self._over is None:
            return  # as above
        other = side.other
        if side.ended or self._closing:
            other.transport.close()
        else:
            self._end = End.BROKEN if side is self._instance else End.ABANDONED
            reset(other.transport)
        self._closing = True  # what happens to the other side now is our doing
        if other.gone and not self._over.done():
            self._over.set_result(None)


class _Side(asyncio.Protocol):
    """One connection of a tunnel."""

    def __init__(self, tunnel: Tunnel, transport: asyncio.Transport, early: bytes, on_lost: OnLost | None) -> None:
        self.transport = transport
        self.other: _Side = None  # type: ignore[assignment] # until the tunnel is joined; see below
        self.received_bytes = len(early)
        self.ended = False  # it has sent FIN
        self.gone = False
        self._tunnel = tunnel
        self._early = early
        self._on_lost = on_lost
        transport.set_protocol(self)

    def take_early(self) -> bytes:
        early, self._early = self._early, b""
        return early

    def write(self, data: bytes) -> None:
        if data and not self.transport.is_closing():  # uvloop raises then; `connection_lost` may be still to come
            self.transport.write(data)

    def pause_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.ended and not self.transport.is_closing():
            self.transport.resume_reading()

    # asyncio.Protocol; before the tunnel is joined nothing is read, but its end may be told

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        self.other.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        self._tunnel.ended(self)
        return self.transport.can_write_eof()

    def pause_writing(self) -> None:
        self.other.pause_reading()

    def resume_writing(self) -> None:
        self.other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        if self._on_lost is not None:
            self._on_lost(exc)
        self._tunnel.lost(self)

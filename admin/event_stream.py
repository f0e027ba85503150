"""Server-sent events, as Hystrix's servlets send them (HystrixSampleSseServlet), built once for all who listen."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice

from aiohttp import web

from admin.hystrix_stream import NOW, config_event, dashboard_events, utilization_event
from admin.problems import SAFETY_HEADERS, problem
from admin.views import Sources

_TICK_S = 0.5  # hystrix.stream.dashboard.intervalInMilliseconds; a ping comes as often
_MAX_STREAMS = 5  # hystrix.config.stream.maxConcurrentConnections
_SLICE_S = 0.001  # a turn of the loop: most pieces take 30 us, but one may have to make its service on the way
_PIECES_PER_SLICE = 16
_PING = b"ping: \n\n"  # a field that readers pass over, which shows whether they are still there
_HEADERS = SAFETY_HEADERS | {
    "Content-Type": "text/event-stream;charset=UTF-8",
    "Cache-Control": "no-cache, no-store, max-age=0, must-revalidate",
    "Pragma": "no-cache",
}


def hystrix_streams(sources: Sources) -> "Mapping[str, EventStream]":
    """By their paths."""
    streams = {
        "/hystrix.stream": (dashboard_events, 1),
        "/hystrix/config.stream": (config_event, 10),  # hystrix.stream.config.intervalInMilliseconds
        "/hystrix/utilization.stream": (utilization_event, 1),
    }
    return {
        path: EventStream(partial(pieces, sources), every, time.monotonic, time.time)
        for path, (pieces, every) in streams.items()
    }


class Slices:
    """What is said in one tick: built when the first of its listeners asks, shared by the others.

    Between two slices the loop gets a turn, so that a thousand commands do not show as a stall of the proxy.
    """

    def __init__(self, pieces: Callable[[], Iterator[bytes]], clock: Callable[[], float]) -> None:
        self._pieces = pieces
        self._clock = clock
        self._tick = -1
        self._slices: Sequence[bytes] = ()
        self._building = asyncio.Lock()

    async def of(self, tick: int) -> Sequence[bytes]:
        """Those of this tick, or of a later one where that has come meanwhile."""
        async with self._building:
            if tick > self._tick:
                slices, pieces = [], self._pieces()
                while built := b"".join(self._next(pieces)):
                    slices.append(built)
                    await asyncio.sleep(0)
                self._slices, self._tick = slices, tick
            return self._slices

    def _next(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        ends_s = self._clock() + _SLICE_S
        for piece in islice(pieces, _PIECES_PER_SLICE):
            yield piece
            if self._clock() >= ends_s:
                return

    def forget(self) -> None:
        """Nobody listens any more."""
        self._slices, self._tick = (), -1


class EventStream:
    """The page of one stream: what `pieces` give is sent at once, and then each `every` ticks of half a second."""

    def __init__(
        self,
        pieces: Callable[[], Iterator[bytes]],
        every: int,
        clock: Callable[[], float],
        epoch_s: Callable[[], float],
    ) -> None:
        self._slices = Slices(pieces, clock)
        self._every = every
        self._clock = clock
        self._epoch_s = epoch_s
        self._listeners = 0
        self._closed = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """`?delay=` is how many milliseconds shall pass between events: at least a tick, and in whole ones."""
        if self._closed.is_set():
            return problem(503, "this sidecar is shutting down")
        if self._listeners >= _MAX_STREAMS:
            return problem(503, f"MaxConcurrentConnections reached: {_MAX_STREAMS}")
        response = web.StreamResponse(headers=_HEADERS)
        self._listeners += 1
        try:
            await response.prepare(request)
            if request.method != "HEAD":
                await self._send(response, ticks_of(request.query.get("delay", ""), self._every))
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._slices.forget()
        return response

    async def close(self, app: web.Application) -> None:
        """End all streams, and refuse new ones."""
        self._closed.set()

    async def _send(self, response: web.StreamResponse, every: int) -> None:
        due = 0
        with suppress(ConnectionError):  # it has left
            tick = self._tick()
            while not self._closed.is_set():
                await response.write(_PING)
                if tick >= due:
                    # All who want one in so many ticks want the same one.
                    due = (tick // every + 1) * every
                    await self._send_event(response, tick)
                await self._until(tick + 1)
                tick = max(tick + 1, self._tick())  # timers may be early

    async def _send_event(self, response: web.StreamResponse, tick: int) -> None:
        for each in await self._slices.of(tick):
            now_epoch_ms = int(self._epoch_s() * 1000)
            await response.write(each.replace(NOW, b"%d" % now_epoch_ms))
            await asyncio.sleep(0)

    def _tick(self) -> int:
        return int(self._clock() / _TICK_S)

    async def _until(self, tick: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(tick * _TICK_S - self._clock()):
                await self._closed.wait()


def ticks_of(delay: str, default: int) -> int:
    """How many ticks `?delay=` milliseconds are. What is no number is passed over, as by Hystrix's servlet."""
    if not (delay.isascii() and delay.isdecimal() and len(delay) < 10):
        return default
    return max(1, round(int(delay) / 1000 / _TICK_S))

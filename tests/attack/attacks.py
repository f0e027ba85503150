"""The attacks by name: who does what, and what must come of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from prana.wire.limits import HEAD_TIMEOUT_S, PACE_WINDOW_S, SWEEP_INTERVAL_S, WRITE_STALL_TIMEOUT_S
from tests.attack import callers
from tests.attack.callers import HEAD, Crowd
from tests.attack.instance import ENDLESS
from tests.attack.site import MIB

LATE_S = SWEEP_INTERVAL_S + 4.0  # that a busy machine may be with ending a connection
TARGET = b"/hostile/"


@dataclass(frozen=True)
class Size:
    """How large an attack is."""

    connections: int
    rate_per_s: float  # at which they are opened
    count: int  # of connections that come and go; a hundredth of the one-byte chunks
    mib: int  # that an endless sender tries to get rid of
    idle_timeout_s: float  # of the service
    seconds: float  # for which a caller pipelines


Attack = Callable[[int, Size], Awaitable[None]]  # on the sidecar's port; raises AssertionError
SlowCrowd = Callable[[Crowd, bytes], Awaitable[list[float]]]


async def _slow(act: SlowCrowd, target: bytes, deadline_s: float | None, port: int, size: Size) -> None:
    """Every one is let go by its deadline, which is the service's idle timeout unless told."""
    deadline_s = size.idle_timeout_s if deadline_s is None else deadline_s
    lives_s = await act(Crowd(port, size.connections, size.rate_per_s, deadline_s + LATE_S + 5.0), target)
    assert max(lives_s) < deadline_s + LATE_S, "a slow caller outlived its deadline"


SLOW: dict[str, Attack] = {
    "slow heads": partial(_slow, callers.slow_heads, TARGET, HEAD_TIMEOUT_S),
    "announced bodies": partial(_slow, callers.announced_bodies, TARGET, None),
    # The first stretch may see much read: by the kernels.
    "slow reads": partial(_slow, callers.slow_reads, b"/hostile/gib", 2 * WRITE_STALL_TIMEOUT_S),
}
SLOWEST: dict[str, Attack] = {"slow bodies": partial(_slow, callers.slow_bodies, TARGET, PACE_WINDOW_S)}


async def _many_ranges(port: int, size: Size) -> None:
    await callers.many_ranges(Crowd(port, size.connections, size.rate_per_s, 30.0), TARGET)


async def _stalled_reader(port: int, size: Size) -> None:
    deadline_s = 2 * size.idle_timeout_s + LATE_S  # as above
    assert await callers.stalled_reader(port, b"/hostile/gib", deadline_s + 5.0) < deadline_s


async def _chunks_up(port: int, size: Size) -> None:
    assert (await callers.chunks_of_one_byte(port, TARGET, 100 * size.count)).startswith(b"HTTP/1.1 200 ")


async def _chunks_down(port: int, size: Size) -> None:
    assert await callers.download(port, b"/hostile/chunks?%d" % (100 * size.count)) > 100 * size.count


async def _storm(request: bytes, port: int, size: Size) -> None:
    await callers.connects_and_resets(port, size.count, request)


async def _pipelining(port: int, size: Size) -> None:
    crowd = Crowd(port, max(1, size.connections // 20), size.rate_per_s, size.seconds)
    await callers.pipelining_without_reading(crowd, TARGET)


async def _endless(start: bytes, piece: bytes, status: bytes, port: int, size: Size) -> None:
    """Refused, and the rest is not even looked at."""
    answer = await callers.endless(port, start, piece, size.mib * MIB)
    assert answer[9:12] == status, answer[:200]


async def _endless_answer(path: str, port: int, size: Size) -> None:
    async with asyncio.timeout(30.0):
        await callers.download(port, b"/hostile" + path.encode())


_CHUNKED = HEAD % (b"PUT", TARGET) + b"Transfer-Encoding: chunked\r\n\r\n"
_NEVER = b"/hostile/never"  # answered
SUDDEN: dict[str, Attack] = {
    "many ranges": _many_ranges,
    "stalled reader": _stalled_reader,
    "1-byte chunks up": _chunks_up,
    "1-byte chunks down": _chunks_down,
    "connects and resets": partial(_storm, b""),
    "abort storm": partial(_storm, HEAD % (b"GET", _NEVER) + b"\r\n"),
    "upload abort storm": partial(_storm, HEAD % (b"PUT", _NEVER) + b"Content-Length: 99\r\n\r\nx"),
    "pipelining, no reading": _pipelining,
    "endless target": partial(_endless, b"GET /hostile/", b"a", b"414"),
    "endless method": partial(_endless, b"", b"A", b"501"),
    "endless header line": partial(_endless, HEAD % (b"GET", TARGET) + b"X-A: ", b"b", b"431"),
    "endless header name": partial(_endless, HEAD % (b"GET", TARGET), b"b", b"431"),
    "endless headers": partial(_endless, HEAD % (b"GET", TARGET), b"X-A: b\r\n", b"431"),
    "endless extension": partial(_endless, _CHUNKED + b"1;", b"x", b"431"),
    "endless extensions": partial(_endless, _CHUNKED, b"1;" + b"x" * 200 + b"\r\nx\r\n", b"431"),
    "endless trailers": partial(_endless, _CHUNKED + b"1\r\nx\r\n0\r\n", b"X-A: b\r\n", b"431"),
    **{f"instance: endless {path[1:]}": partial(_endless_answer, path) for path in ENDLESS},
}

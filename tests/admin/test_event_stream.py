"""The streams as their readers see them, and what they cost the loop."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any, cast

import pytest
from aiohttp import ClientResponse, ClientSession, web
from aiohttp.test_utils import make_mocked_request

from admin import event_stream, server
from admin.event_stream import EventStream, Slices, ticks_of
from admin.hystrix_stream import NOW
from admin.metrics import Event, ProxyMetrics
from admin.server import AdminServer, serve
from admin.views import CommandView, ServiceView

from .conftest import Clock, FixedSources
from .ports import on
from .turbine import Frame, Turbine1, Turbine2, shown_by_the_dashboard

STREAMS = ["/hystrix.stream", "/hystrix/config.stream", "/hystrix/utilization.stream"]
Listen = Callable[..., Awaitable[ClientResponse]]


@pytest.fixture
def services(metrics: ProxyMetrics, service: ServiceView, command: CommandView) -> list[ServiceView]:
    """Two, the second with a route."""
    orders = metrics.service("orders")
    commands = [replace(command, key=key, metrics=orders.command(key)) for key in ("orders", "orders:slow")]
    return [service, replace(service, name="orders", commands=commands, pool=replace(service.pool, name="orders"))]


@pytest.fixture
async def admin(
    sources_of: Callable[..., FixedSources], services: list[ServiceView], metrics: ProxyMetrics
) -> AsyncIterator[AdminServer]:
    sources = sources_of(services)
    admin = await serve(sources, sources, metrics, "", on())
    yield admin
    await admin.close()


@pytest.fixture
async def listen(admin: AdminServer) -> AsyncIterator[Listen]:
    async with AsyncExitStack() as opened:

        async def get(path: str = "/hystrix.stream", method: str = "GET") -> ClientResponse:
            session = await opened.enter_async_context(ClientSession(read_bufsize=2**14))
            return await opened.enter_async_context(session.request(method, f"http://127.0.0.1:{admin.port}{path}"))

        yield get


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "_TICK_S", 0.005)


async def lines_of(response: ClientResponse) -> AsyncIterator[str]:
    async for line in response.content:
        yield line.decode()


async def frames_of(response: ClientResponse, count: int, turbine: Turbine1 | None = None) -> list[Frame]:
    turbine = turbine or Turbine1()
    async for line in lines_of(response):
        turbine.read(line, time.time() * 1000)
        if len(turbine.frames) == count:
            break
    return turbine.frames


@pytest.mark.parametrize("path", STREAMS)
async def test_a_stream_has_the_headers_of_hystrix(listen: Listen, path: str) -> None:
    for method in ("GET", "HEAD"):
        response = await listen(path, method)
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream;charset=UTF-8"
        assert response.headers["Cache-Control"] == "no-cache, no-store, max-age=0, must-revalidate"
        assert response.headers["Pragma"] == "no-cache"
    assert await response.read() == b""


async def test_a_ping_comes_first_and_everything_is_said_at_once(listen: Listen) -> None:
    read = lines_of(await listen())
    assert [await anext(read), await anext(read)] == ["ping: \n", "\n"]
    line = await anext(read)
    assert line.startswith('data: {"type":"HystrixCommand","name":"users","group":"prana","currentTime":')
    assert await anext(read) == "\n"


async def test_turbine_1_reads_every_command_and_pool(listen: Listen, quick: None) -> None:
    turbine = Turbine1()
    frames = await frames_of(await listen(), 10, turbine)
    named = [(frame["type"], frame["name"]) for frame in frames]
    commands = [("HystrixCommand", name) for name in ("users", "orders", "orders:slow")]
    assert named[:5] == named[5:] == [*commands, ("HystrixThreadPool", "users"), ("HystrixThreadPool", "orders")]
    assert turbine.sums["HystrixCommand", "users", "reportingHosts"] == 2
    assert turbine.sums["HystrixCommand", "users", "requestCount"] == 80
    assert turbine.sums["HystrixThreadPool", "orders", "currentPoolSize"] == 10


async def test_turbine_2_finds_the_same_keys_whatever_happens(
    listen: Listen, quick: None, command: CommandView, clock: Clock
) -> None:
    turbine, response = Turbine2(), await listen()
    for frame in await frames_of(response, 5):
        turbine.read(frame)
    command.metrics.event(Event.TIMEOUT)
    command.metrics.executed(0.5)
    command.metrics.answered(59.0)
    clock.now_s += 10
    command.metrics.rotate()
    seen = await frames_of(response, 10)
    for frame in seen:
        turbine.read(frame)
    assert any(frame.get("latencyTotal_mean") == 59_000 for frame in seen)


async def test_the_dashboard_shows_a_tile_for_each(listen: Listen) -> None:
    frames = await frames_of(await listen(), 5)
    assert all(shown_by_the_dashboard(frame) for frame in frames)


async def test_the_other_streams_are_one_event_with_all(listen: Listen, quick: None) -> None:
    for path, kind in (
        ("/hystrix/config.stream", "HystrixConfig"),
        ("/hystrix/utilization.stream", "HystrixUtilization"),
    ):
        events = [json.loads(line[6:]) async for line in _first_data(await listen(path), 2)]
        for event in events:
            assert event["type"] == kind
            assert list(event["commands"]) == ["users", "orders", "orders:slow"]
            assert list(event["threadpools"]) == ["users", "orders"]


async def _first_data(response: ClientResponse, count: int) -> AsyncIterator[str]:
    async for line in lines_of(response):
        if line.startswith("data"):
            count -= 1
            yield line
            if not count:
                return


@pytest.mark.parametrize("path", STREAMS)
async def test_a_sixth_listener_is_refused_until_one_leaves(listen: Listen, path: str, quick: None) -> None:
    streams = [await listen(path) for _ in range(5)]
    sixth = await listen(path)
    assert (sixth.status, sixth.headers["Content-Type"]) == (503, "application/problem+json")
    assert (await sixth.json(content_type=None))["detail"] == "MaxConcurrentConnections reached: 5"
    assert (await listen(STREAMS[STREAMS.index(path) - 1])).status == 200, "each stream has its own five"
    streams[0].close()
    async with asyncio.timeout(5):
        while (await listen(path)).status == 503:
            pass


async def test_streams_end_when_the_port_closes(admin: AdminServer, listen: Listen) -> None:
    stream = await listen()
    await frames_of(stream, 5)
    await admin.close()
    assert (await asyncio.wait_for(stream.read(), 5)).count(b"data:") == 0, "complete, not cut off"


async def test_a_listener_that_does_not_read_holds_little_and_is_cut_off(
    sources_of: Callable[..., FixedSources],
    service: ServiceView,
    metrics: ProxyMetrics,
    monkeypatch: pytest.MonkeyPatch,
    quick: None,
) -> None:
    monkeypatch.setattr(server, "_STALL_S", 0.1)
    sources = sources_of([replace(service, commands=list(service.commands) * 5000)])  # 10 MB a tick
    admin = await serve(sources, sources, metrics, "", on())
    held_bytes: list[int] = []
    cut_off = asyncio.Event()
    abort = server._Connection._abort_if_stalled

    def watched(connection: server._Connection) -> None:
        held_bytes.append(connection._asyncio_transport.get_write_buffer_size())
        abort(connection)
        if connection._asyncio_transport.is_closing():
            cut_off.set()

    monkeypatch.setattr(server._Connection, "_abort_if_stalled", watched)
    _, writer = await asyncio.open_connection("127.0.0.1", admin.port, limit=1024)
    writer.write(b"GET /hystrix.stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asyncio.wait_for(cut_off.wait(), 10)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    await admin.close()
    assert 0 < max(held_bytes) < 256_000


@pytest.mark.parametrize(
    ("delay", "ticks"),
    [
        ("", 7),
        ("500", 1),
        ("1000", 2),
        ("1240", 2),
        ("1", 1),
        ("0", 1),
        ("-5", 7),
        ("fast", 7),
        ("9" * 10, 7),
        ("٣", 7),
    ],
)
def test_the_delay_is_in_whole_ticks_and_nonsense_is_passed_over(delay: str, ticks: int) -> None:
    assert ticks_of(delay, 7) == ticks


class Pieces:
    """Numbered pieces, and how often they were asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked = 0

    def __call__(self) -> Iterator[bytes]:
        self.asked += 1
        return (b"%d,%b;" % (number, NOW) for number in range(self.count))


class Turns:
    """Counts turns of the loop while something else goes on."""

    def __init__(self) -> None:
        self.count = 0

    async def __aenter__(self) -> "Turns":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)


async def test_a_tick_is_built_once_for_all_in_slices_with_turns_of_the_loop_between_them() -> None:
    pieces = Pieces(100)
    slices = Slices(pieces, lambda: 0.0)
    async with Turns() as turns:
        first, second = await asyncio.gather(slices.of(1), slices.of(1))
    assert first is second
    assert pieces.asked == 1
    assert [each.count(b";") for each in first] == [16] * 6 + [4]
    assert b"".join(first) == b"".join(pieces())
    assert turns.count >= len(first)


async def test_a_slice_ends_when_a_millisecond_is_over(clock: Clock) -> None:
    def slow() -> Iterator[bytes]:
        for piece in Pieces(5)():
            clock.now_s += 0.0004
            yield piece

    assert [each.count(b";") for each in await Slices(slow, clock).of(1)] == [3, 2]


async def test_the_next_tick_is_built_anew_and_an_earlier_one_never_again() -> None:
    pieces = Pieces(1)
    slices = Slices(pieces, lambda: 0.0)
    first = await slices.of(1)
    assert await slices.of(2) is not first
    assert await slices.of(1) is await slices.of(2)
    assert pieces.asked == 2


async def test_when_the_builder_leaves_another_listener_builds() -> None:
    pieces = Pieces(100)
    slices = Slices(pieces, lambda: 0.0)
    builder, other = asyncio.create_task(slices.of(1)), asyncio.create_task(slices.of(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    builder.cancel()
    assert b"".join(await other) == b"".join(pieces())


async def test_nothing_is_kept_for_nobody() -> None:
    pieces = Pieces(1)
    slices = Slices(pieces, lambda: 0.0)
    await slices.of(1)
    slices.forget()
    await slices.of(1)
    assert pieces.asked == 2


class Written:
    """What a stream wrote; ends it after so many pings."""

    def __init__(self, stream: EventStream, pings: int) -> None:
        self.stream = stream
        self.pings = pings
        self.parts: list[bytes] = []

    async def write(self, data: bytes) -> None:
        self.parts.append(data)
        if self.parts.count(b"ping: \n\n") == self.pings:
            await self.stream.close(cast(web.Application, None))


async def test_the_moment_is_that_of_writing(quick: None) -> None:
    moments_s = iter(range(2_000_000, 3_000_000))
    stream = EventStream(Pieces(20), 1, lambda: 0.0, lambda: next(moments_s))
    written = Written(stream, 1)
    await stream._send(cast(Any, written), 1)
    assert written.parts[0] == b"ping: \n\n"
    assert [part.split(b";")[0] for part in written.parts[1:]] == [b"0,2000000000", b"16,2000001000"]


async def test_pings_come_between_rare_events_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that stands still each wait ends at once: half a second is over whenever it is asked for."""
    monkeypatch.setattr(event_stream, "_TICK_S", 0.0001)
    stream = EventStream(Pieces(1), 10, lambda: 0.0, lambda: 0.0)
    written = Written(stream, 21)
    await stream._send(cast(Any, written), 10)
    assert [index for index, part in enumerate(written.parts) if not part.startswith(b"ping")] == [1, 12, 23]


async def test_what_is_written_without_waiting_leaves_turns_of_the_loop_to_others(quick: None) -> None:
    stream = EventStream(Pieces(100), 1, lambda: 0.0, lambda: 0.0)
    async with asyncio.timeout(5), Turns() as turns:
        await stream._send(cast(Any, Written(stream, 1)), 1)
    assert turns.count >= 2 * 7


class Gone:
    """A listener that has left."""

    async def write(self, data: bytes) -> None:
        raise ConnectionResetError


async def test_a_listener_that_has_left_is_no_error() -> None:
    await EventStream(Pieces(1), 1, lambda: 0.0, lambda: 0.0)._send(cast(Any, Gone()), 1)


async def test_when_the_last_listener_has_left_nothing_is_kept() -> None:
    async def leave() -> None:
        await stream.close(cast(web.Application, None))

    leaving: list[asyncio.Task[None]] = []

    def epoch_s() -> float:
        leaving.append(asyncio.create_task(leave()))
        return 0.0

    stream = EventStream(Pieces(1), 1, lambda: 0.0, epoch_s)
    await stream.answer(make_mocked_request("GET", "/hystrix.stream"))
    assert leaving
    assert stream._slices._slices == ()

"""A caller's connection over a fake transport: order, framing and endings that sockets show only by chance."""

import asyncio
import gc
import socket
from collections.abc import Callable

import pytest

from prana.errors import BadRequest, ConnectionBroken
from prana.request import End, Request, Response
from prana.wire.body import BodyStream
from prana.wire.downstream import DownstreamConnection
from prana.wire.fields import IN_REQUESTS, Field, FieldLines
from prana.wire.limits import (
    BODY_HIGH_WATER_BYTES,
    CHUNKS_PER_TURN,
    DRAIN_IDLE_S,
    HEAD_TIMEOUT_S,
    KEEP_ALIVE_TIMEOUT_S,
    LINGER_TIMEOUT_S,
    MAX_PIPELINED,
    PACE_WINDOW_S,
    WRITE_STALL_BYTES,
)
from prana.wire.upstream import Link

from .conftest import Clock, FakeTransport, settle

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"


class FakeEdge:
    """A server whose answers wait until the test gives them."""

    def __init__(self, clock: Clock) -> None:
        self.clock: Callable[[], float] = clock
        self.date = b"now"
        self.draining = False
        self.min_upload_rate = 100
        self.requests: list[Request] = []
        self.lines = FieldLines(IN_REQUESTS)
        self.answers: asyncio.Queue[Response] = asyncio.Queue()
        self.ends: list[End] = []
        self.ended = asyncio.Event()
        self.open: set[DownstreamConnection] = set()

    async def handle(self, request: Request) -> Response:
        request.request_id = b"id"
        self.requests.append(request)
        response = await self.answers.get()
        response.on_finish(self._finished)
        return response

    def _finished(self, end: End) -> None:
        self.ends.append(end)
        self.ended.set()

    def closed(self, connection: DownstreamConnection) -> None:
        self.open.discard(connection)

    def is_own(self, link: Link) -> bool:
        return link == (("127.0.0.1", 666), ("127.0.0.1", 8078))


class Line:
    def __init__(self, edge: FakeEdge, peer: tuple[object, ...] | str | None = ("127.0.0.1", 5)) -> None:
        self.edge = edge
        sockname = "/run/prana.sock" if isinstance(peer, str) else ("127.0.0.1", 8078)
        self.transport = FakeTransport(peername=peer, sockname=sockname)
        self.connection = DownstreamConnection(edge)
        edge.open.add(self.connection)
        self.connection.connection_made(self.transport)

    async def send(self, data: bytes) -> None:
        self.connection.data_received(data)
        await settle()

    async def answer(self, response: Response | None = None) -> bytes:
        """Give one answer; what is written since the last time."""
        self.edge.answers.put_nowait(response or ok())
        await settle()
        written, self.transport.written = self.transport.written, b""
        return written


def ok(body: bytes = b"ok") -> Response:
    return Response(200, b"OK", [], body)


def streamed(length: int | None = None, status: int = 200) -> tuple[Response, BodyStream]:
    body = BodyStream(lambda: None, lambda: None)
    response = Response(status, b"OK", [], body)
    response.content_length = length
    return response, body


@pytest.fixture
def edge(clock: Clock) -> FakeEdge:
    return FakeEdge(clock)


@pytest.fixture
async def line(edge: FakeEdge) -> Line:
    return Line(edge)


ANSWER = b"HTTP/1.1 200 OK\r\nDate: now\r\nX-Request-Id: id"


async def test_an_answer_is_one_write_with_its_length(line: Line) -> None:
    await line.send(GET)
    assert await line.answer() == ANSWER + b"\r\nContent-Length: 2\r\n\r\nok"
    assert line.edge.ends == [End.COMPLETE]
    assert not line.transport.is_closing()


async def test_requests_are_served_one_after_another(line: Line) -> None:
    await line.send(GET * 3)
    assert len(line.edge.requests) == 1
    for count in (2, 3, 3):
        assert (await line.answer()).endswith(b"ok")
        assert len(line.edge.requests) == count
    assert not line.connection.serving


async def test_a_pipelining_caller_is_paused_and_goes_on(line: Line) -> None:
    for _ in range(MAX_PIPELINED + 3):
        await line.send(GET)
    assert not line.transport.reading
    for _ in range(MAX_PIPELINED + 3):
        await line.answer()
    assert line.transport.reading
    assert len(line.edge.requests) == MAX_PIPELINED + 3


@pytest.mark.parametrize(
    ("length", "framing", "first", "last"),
    [
        (5, b"\r\nContent-Length: 5\r\n\r\n", b"abc", b"de"),
        (None, b"\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"),
    ],
)
async def test_a_body_is_streamed_as_it_comes(
    line: Line, length: int | None, framing: bytes, first: bytes, last: bytes
) -> None:
    await line.send(GET)
    response, body = streamed(length)
    body.feed(b"abc")
    assert await line.answer(response) == ANSWER + framing + first
    body.feed(b"de")
    body.end()
    await settle()
    assert line.transport.written == last
    assert line.edge.ends == [End.COMPLETE]


async def test_a_body_that_breaks_off_ends_in_a_reset(line: Line) -> None:
    await line.send(GET)
    response, body = streamed(5)
    body.feed(b"abc")
    await line.answer(response)
    body.fail(ConnectionBroken("gone"))
    await settle()
    assert line.transport.closing == "abort"
    assert line.edge.ends == [End.BROKEN]


async def test_an_old_caller_gets_the_close_instead_of_chunks(line: Line) -> None:
    await line.send(OLD)
    response, body = streamed()
    body.feed(b"abc")
    body.end()
    assert await line.answer(response) == ANSWER + b"\r\nConnection: close\r\n\r\nabc"
    assert line.transport.closing == "close"


@pytest.mark.parametrize(("status", "method"), [(204, b"GET"), (304, b"GET"), (200, b"HEAD")])
async def test_an_answer_without_a_body_has_none(line: Line, status: int, method: bytes) -> None:
    await line.send(GET.replace(b"GET", method))
    response = Response(status, b"OK", [], b"" if status != 200 else b"problem")
    written = await line.answer(response)
    assert written.endswith(b"\r\n\r\n")
    assert (b"Content-Length: 7" in written) == (method == b"HEAD")


async def test_a_caller_that_leaves_gives_the_answer_up(line: Line) -> None:
    await line.send(GET)
    response, body = streamed(5)
    body.feed(b"abc")
    await line.answer(response)
    line.connection.connection_lost(None)
    await settle()
    assert line.edge.ends == [End.ABANDONED]
    assert not line.edge.open


@pytest.mark.parametrize("started", [False, True])
async def test_an_answer_to_a_transport_that_is_closing_is_given_up_in_silence(line: Line, started: bool) -> None:
    """uvloop closes a transport before it says so, and raises on writes in between."""
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    await line.send(GET)
    response, body = streamed(5)
    if started:
        body.feed(b"abc")
        await line.answer(response)
        line.transport.abort()
        body.feed(b"de")
    else:
        line.transport.abort()
        line.edge.answers.put_nowait(response)
    await settle()
    gc.collect()  # which is when a task's lost exception comes out
    assert not unhandled
    assert line.edge.ends == [End.ABANDONED]
    assert line.transport.written == b""


async def test_a_slow_reader_holds_the_answer_up(line: Line) -> None:
    await line.send(GET)
    response, body = streamed(100)
    body.feed(b"a")
    await line.answer(response)
    line.connection.pause_writing()
    body.feed(b"b")
    await settle()
    body.feed(b"c")
    await settle()
    assert line.transport.written == b"b"
    line.connection.resume_writing()
    await settle()
    assert line.transport.written == b"bc"
    line.connection.connection_lost(None)


async def test_a_reader_that_stopped_is_cut_off_in_the_end(line: Line) -> None:
    await line.send(GET)
    line.edge.requests[0].idle_timeout_s = 0.001
    response, body = streamed(100)
    line.connection.pause_writing()
    body.feed(b"a")
    line.edge.answers.put_nowait(response)
    await settle()
    body.feed(b"b")
    async with asyncio.timeout(5):
        await line.edge.ended.wait()
    assert line.edge.ends == [End.ABANDONED]
    assert line.transport.closing == "abort"


async def test_a_whole_body_that_nobody_took_does_not_keep_the_connection_paused(line: Line) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    await line.send(head + bytes(100000))
    assert not line.transport.reading
    assert b"Connection" not in await line.answer()
    assert line.transport.reading
    await line.send(GET)
    assert (await line.answer()).endswith(b"ok")


async def test_a_caller_still_sending_gets_its_answer_before_the_close(line: Line, clock: Clock) -> None:
    await line.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + bytes(100000))
    assert b"Connection: close" in await line.answer()
    assert (line.transport.eof, line.transport.closing, line.transport.reading) == (True, "", True)
    await line.send(bytes(50000) + GET)
    assert len(line.edge.requests) == 1, "what it still sends goes nowhere"
    clock.now_s += LINGER_TIMEOUT_S
    line.connection.expire(clock.now_s)
    assert line.transport.closing == "abort"


async def test_a_refused_caller_too(line: Line) -> None:
    await line.send(b"GET /a b")
    assert line.edge.requests[0].malformed is not None
    assert b"Connection: close" in await line.answer()
    assert (line.transport.eof, line.transport.closing) == (True, "")
    assert line.connection.eof_received() is False


async def test_an_answer_that_nobody_reads_is_given_up_after_the_close(line: Line, clock: Clock) -> None:
    await line.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    await line.answer()
    assert line.transport.closing == "close", "which waits for the buffer to be read"
    line.connection.expire(clock() + KEEP_ALIVE_TIMEOUT_S - 1)
    assert line.transport.closing == "close"
    line.connection.expire(clock() + KEEP_ALIVE_TIMEOUT_S)
    assert line.transport.closing == "abort"


async def test_the_next_request_waits_until_an_answer_has_been_read(line: Line) -> None:
    await line.send(GET + GET)
    line.connection.pause_writing()
    await line.answer()
    assert len(line.edge.requests) == 1
    line.connection.resume_writing()
    await settle()
    assert len(line.edge.requests) == 2


async def test_a_head_has_its_time_from_its_first_byte(line: Line, clock: Clock) -> None:
    await line.send(GET[:5])
    clock.now_s += HEAD_TIMEOUT_S - 1
    await line.send(GET[5:7])
    line.connection.expire(clock.now_s)
    assert not line.edge.requests
    clock.now_s += 1
    line.connection.expire(clock.now_s)
    await settle()
    malformed = line.edge.requests[0].malformed
    assert malformed is not None
    assert malformed.status == 408


async def test_an_idle_connection_has_its_time_and_a_serving_one_has_none(line: Line, clock: Clock) -> None:
    await line.send(GET)
    clock.now_s += 1000
    line.connection.expire(clock.now_s)
    assert not line.transport.is_closing()
    await line.answer()
    clock.now_s += KEEP_ALIVE_TIMEOUT_S - 1
    line.connection.expire(clock.now_s)
    assert not line.transport.is_closing()
    clock.now_s += 1
    line.connection.expire(clock.now_s)
    assert line.transport.closing


async def test_a_half_closed_caller_gets_its_answer_and_then_the_close(line: Line) -> None:
    await line.send(GET * 2)
    assert line.connection.eof_received() is True
    assert (await line.answer()).endswith(b"ok")
    assert not line.transport.is_closing()
    assert (await line.answer()).endswith(b"ok")
    assert line.transport.closing == "close"


async def test_half_a_request_behind_a_whole_one_does_not_cost_its_answer(line: Line) -> None:
    await line.send(GET + b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
    assert line.connection.eof_received() is True
    assert (await line.answer()).endswith(b"ok")
    await settle()
    body = line.edge.requests[1].body
    assert body is not None
    assert isinstance(body.error, BadRequest)


@pytest.mark.parametrize("unfinished", [b"", GET[:9], b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"])
async def test_half_a_request_is_not_waited_for(line: Line, unfinished: bytes) -> None:
    await line.send(unfinished)
    assert line.connection.eof_received() is False


async def test_draining_does_not_close_on_a_request_that_the_kernel_holds_already(
    edge: FakeEdge, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(edge)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        monkeypatch.setattr(line.transport, "get_extra_info", {"socket": ours}.get)
        theirs.send(b"G")
        line.connection.close_if_idle(clock.now_s + DRAIN_IDLE_S)
        assert not line.transport.is_closing()
        ours.recv(1)
        line.connection.close_if_idle(clock.now_s + DRAIN_IDLE_S)
        assert line.transport.is_closing()


async def test_draining_closes_after_the_answer_and_what_is_idle(edge: FakeEdge, clock: Clock) -> None:
    idle, begun, busy = Line(edge), Line(edge), Line(edge)
    await busy.send(GET)
    await begun.send(GET[:9])
    edge.draining = True
    idle.connection.close_if_idle(clock.now_s + DRAIN_IDLE_S - 0.01)
    assert not idle.transport.is_closing(), "its first request may be on the way"
    for line in (idle, begun, busy):
        line.connection.close_if_idle(clock.now_s + DRAIN_IDLE_S)
    assert not begun.transport.is_closing(), "it has begun to send a request"
    assert idle.transport.closing == "close"
    assert not busy.transport.is_closing()
    assert b"Connection: close" in await busy.answer()
    assert busy.transport.closing == "close"


@pytest.mark.parametrize(
    ("peer", "loopback", "looped"),
    [
        (("127.0.0.1", 1), True, False),
        (("127.8.8.8", 1), True, False),
        (("::1", 1, 0, 0), True, False),
        (("::ffff:127.0.0.1", 1), True, False),
        (("10.0.0.1", 1), False, False),
        (("::ffff:10.0.0.1", 1), False, False),
        (("2001:db8::127", 1), False, False),
        ("", True, False),
        (None, False, False),
        (("127.0.0.1", 666), True, True),
    ],
)
async def test_a_request_knows_where_it_comes_from(
    edge: FakeEdge, peer: tuple[object, ...] | str | None, loopback: bool, looped: bool
) -> None:
    line = Line(edge, peer)
    await line.send(GET)
    (request,) = edge.requests
    assert (request.from_loopback, request.looped) == (loopback, looped)
    assert request.caller_ip == (str(peer[0]).encode() if peer else b"")
    assert request.proxy_port == (0 if peer == "" else 8078)


async def test_continue_and_interim_answers_are_for_callers_that_know_them(line: Line) -> None:
    await line.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    request = line.edge.requests[0]
    assert request.body is not None
    assert request.send_interim is not None
    reading = asyncio.create_task(request.body.read(5))
    await settle()
    request.send_interim(103, b"Early", [Field(b"Link", b"x")])
    assert line.transport.written == b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
    await line.send(b"abc")
    assert await reading == b"abc"
    old = Line(line.edge)
    await old.send(OLD)
    send_interim = line.edge.requests[1].send_interim
    assert send_interim is not None
    send_interim(103, b"Early", [])
    assert old.transport.written == b""


async def test_a_caller_that_is_gone_takes_no_interim_answer(line: Line) -> None:
    await line.send(GET)
    line.transport.abort()
    send_interim = line.edge.requests[0].send_interim
    assert send_interim is not None
    send_interim(103, b"Early", [])
    assert line.transport.written == b""
    line.connection.connection_lost(None)


async def test_an_interim_answer_that_comes_late_is_dropped(line: Line) -> None:
    await line.send(GET)
    response, body = streamed(2)
    body.feed(b"o")
    await line.answer(response)
    send_interim = line.edge.requests[0].send_interim
    assert send_interim is not None
    send_interim(103, b"Early", [])
    assert line.transport.written == b""
    line.connection.connection_lost(None)


UPLOAD = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"


async def drip(line: Line, clock: Clock, size: int, seconds: int) -> Request:
    """So many bytes of a body each second, with the server's look at the connection."""
    await line.send(UPLOAD)
    (request,) = line.edge.requests
    for _ in range(seconds):
        line.connection.expire(clock.now_s)
        await line.send(bytes(size))
        clock.now_s += 1.0
    line.connection.expire(clock.now_s)
    return request


@pytest.mark.parametrize(("size", "refused"), [(1, True), (99, True), (100, False)])
async def test_a_body_must_keep_up_the_least_rate(line: Line, clock: Clock, size: int, refused: bool) -> None:
    request = await drip(line, clock, size, int(PACE_WINDOW_S))
    assert request.body is not None
    assert isinstance(request.body.error, BadRequest) is refused
    assert getattr(request.body.error, "status", None) == (408 if refused else None)


async def test_a_body_may_be_slow_for_less_than_the_window_and_where_any_rate_will_do(line: Line, clock: Clock) -> None:
    request = await drip(line, clock, 1, int(PACE_WINDOW_S) - 1)
    assert request.body is not None
    assert request.body.error is None
    line.edge.min_upload_rate = 0
    clock.now_s += 100 * PACE_WINDOW_S
    line.connection.expire(clock.now_s)
    assert request.body.error is None


async def test_a_fast_beginning_does_not_excuse_a_slow_end(line: Line, clock: Clock) -> None:
    request = await drip(line, clock, 2000, int(PACE_WINDOW_S))
    for _ in range(int(PACE_WINDOW_S)):
        clock.now_s += 1.0
        line.connection.expire(clock.now_s)
    assert request.body is not None
    assert isinstance(request.body.error, BadRequest)


async def test_a_body_that_nobody_takes_need_not_keep_up_a_rate(line: Line, clock: Clock) -> None:
    request = await drip(line, clock, 50_000, 2)
    assert request.body is not None
    assert not line.transport.reading
    for _ in range(3):
        clock.now_s += PACE_WINDOW_S
        line.connection.expire(clock.now_s)
    request.body.take()
    clock.now_s += PACE_WINDOW_S - 1
    line.connection.expire(clock.now_s)
    assert request.body.error is None, "the time counts from when it is taken again"


async def test_the_bytes_of_one_body_do_not_speak_for_the_next(line: Line, clock: Clock) -> None:
    await drip(line, clock, 1000, 10)
    await line.send(bytes(1_000_000 - 10_000))
    body = line.edge.requests[0].body
    assert body is not None
    body.discard()
    await line.answer()
    await line.send(UPLOAD)
    for _ in range(int(PACE_WINDOW_S) + 1):
        line.connection.expire(clock.now_s)
        clock.now_s += 1.0
    last = line.edge.requests[1].body
    assert last is not None
    assert isinstance(last.error, BadRequest)


@pytest.mark.parametrize(("taken_bytes", "looks"), [(WRITE_STALL_BYTES, 12), (WRITE_STALL_BYTES - 1, 2)])
async def test_a_slow_reader_is_borne_as_long_as_it_reads(line: Line, taken_bytes: int, looks: int) -> None:
    await line.send(GET)
    line.edge.requests[0].idle_timeout_s = 0.001
    line.transport.buffered_bytes, line.transport.taken_bytes = 10 * WRITE_STALL_BYTES, taken_bytes
    line.connection.pause_writing()
    await line.answer()
    async with asyncio.timeout(5):
        await line.edge.ended.wait()
    assert line.transport.looks == looks, "two in each stretch, until it has taken all and stops"
    assert line.transport.closing == "abort"


async def test_of_a_flood_of_requests_only_a_few_are_parsed_ahead(line: Line) -> None:
    flood = 10_000
    gc.collect()  # what other tests have left
    before = sum(isinstance(each, Request) for each in gc.get_objects())
    await line.send(GET * flood)
    ahead = sum(isinstance(each, Request) for each in gc.get_objects()) - before
    assert ahead == MAX_PIPELINED + 1
    assert not line.transport.reading
    answered = 0
    while answered < flood:
        answered += (await line.answer()).count(b"HTTP/1.1 200")
    assert line.transport.reading
    assert len(line.edge.requests) == flood


TINY_CHUNKS = b"1\r\nx\r\n" * (2 * CHUNKS_PER_TURN + 1)
CHUNKED_UPLOAD = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


async def uploading(line: Line) -> BodyStream:
    await line.send(CHUNKED_UPLOAD)
    body = line.edge.requests[0].body
    assert body is not None
    return body


async def test_a_caller_with_tiny_chunks_lets_others_have_their_turn(line: Line) -> None:
    body = await uploading(line)
    line.connection.data_received(TINY_CHUNKS + b"0\r\n\r\n" + GET)
    assert (body.received_bytes, line.transport.reading) == (CHUNKS_PER_TURN, False)
    await asyncio.sleep(0)
    assert body.received_bytes == 2 * CHUNKS_PER_TURN
    await settle()
    assert len(body.take()) == 2 * CHUNKS_PER_TURN + 1
    assert (body.whole, line.transport.reading) == (True, True)
    assert (await line.answer()).endswith(b"ok")
    assert len(line.edge.requests) == 2, "and what came behind the body is read too"


async def test_what_is_left_for_a_later_turn_comes_before_what_arrives_meanwhile(line: Line) -> None:
    body = await uploading(line)
    line.connection.data_received(TINY_CHUNKS)
    line.connection.data_received(b"1\r\ny\r\n0\r\n\r\n")
    assert body.received_bytes == CHUNKS_PER_TURN
    await settle()
    assert body.whole
    assert body.take().endswith(b"xy")


async def test_nothing_is_read_in_a_later_turn_than_the_end_of_the_connection(line: Line) -> None:
    body = await uploading(line)
    line.connection.data_received(TINY_CHUNKS + b"0\r\n\r\n" + GET)
    line.transport.abort()
    await settle()
    assert body.received_bytes == CHUNKS_PER_TURN
    assert len(line.edge.requests) == 1


async def test_no_more_is_read_from_an_instance_than_the_caller_has_room_for(line: Line) -> None:
    paused: list[bool] = []
    body = BodyStream(lambda: paused.append(True), lambda: paused.append(False))
    response = Response(200, b"OK", [], body)
    await line.send(GET)
    line.connection.pause_writing()
    body.feed(bytes(4 * BODY_HIGH_WATER_BYTES))
    await line.answer(response)
    assert paused == [True], "all of it waits in the transport, and nothing comes behind it"
    line.connection.resume_writing()
    await settle()
    assert paused == [True, False]
    body.end()
    await settle()
    assert line.edge.ends == [End.COMPLETE]


@pytest.mark.parametrize("size", [100, 100_000])
@pytest.mark.parametrize("length", [None, 200_000])
async def test_pieces_of_any_size_are_framed_alike(line: Line, size: int, length: int | None) -> None:
    await line.send(GET)
    response, body = streamed(length)
    body.feed(bytes(size))
    written = await line.answer(response)
    head, _, sent = written.partition(b"\r\n\r\n")
    assert head.startswith(ANSWER)
    assert sent == (bytes(size) if length else b"%x\r\n%b\r\n" % (size, bytes(size)))

"""One exchange at a time, fed byte by byte: what makes a connection reusable, and what must not."""

import asyncio

import pytest

from prana.errors import BadRequest, ConnectionBroken, ProxyError, ResponseTimeout, UpstreamProtocolError
from prana.request import End, Request, Response
from prana.wire.body import BodyStream
from prana.wire.limits import BODY_HIGH_WATER_BYTES, CHUNKS_PER_TURN, MAX_HEAD_BYTES, MAX_LINE_BYTES
from prana.wire.upstream import UpstreamConnection

from .conftest import FakeHome, FakeTransport, settle

HEAD = b"GET / HTTP/1.1\r\n\r\n"
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NEVER_S = 60.0


class Upstream:
    """A connection with a fake transport, and what it reported."""

    def __init__(self) -> None:
        self.home = FakeHome()
        self.connection = UpstreamConnection(self.home)
        self.transport = FakeTransport(sockname=("127.0.0.1", 1))
        self.connection.connection_made(self.transport)

    async def send(self, request: Request, timeout_s: float = NEVER_S) -> "asyncio.Task[Response]":
        task = asyncio.create_task(self.connection.exchange(request, HEAD, timeout_s))
        await asyncio.sleep(0)
        return task

    async def exchange(self, answer: bytes, method: bytes = b"GET", step: int = 2**20) -> Response:
        task = await self.send(Request(method, b"/", [], 0.0))
        for at in range(0, len(answer), step):
            self.connection.data_received(answer[at : at + step])
        return await task


@pytest.fixture
async def upstream() -> Upstream:
    return Upstream()


def body_of(response: Response) -> BodyStream:
    assert isinstance(response.body, BodyStream)
    return response.body


def taken(response: Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else response.body.take()


@pytest.mark.parametrize("step", [2**20, 1])
@pytest.mark.parametrize(
    ("method", "answer", "body"),
    [
        (b"GET", FINE, b"ok"),
        (b"GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nT: u\r\n\r\n", b"ok"),
        (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"GET", b"HTTP/1.1 103 Early\r\nX: y\r\n\r\n" + FINE, b"ok"),
        (b"GET", b"HTTP/1.1 204 None\r\n\r\n", b""),
        (b"GET", b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n", b""),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b""),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b""),
    ],
)
async def test_after_a_regular_exchange_the_connection_is_reusable(
    upstream: Upstream, method: bytes, answer: bytes, body: bytes, step: int
) -> None:
    for number in range(1, 4):
        response = await upstream.exchange(answer, method, step)
        assert taken(response) == body
        response.finish(End.COMPLETE)
        assert upstream.home.reusable == [True] * number
    assert not upstream.connection.closed


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"GET", FINE.replace(b"OK", b"OK\r\nConnection: close")),
        (b"GET", FINE.replace(b"1.1", b"1.0")),
        (b"GET", FINE + b"x"),
        (b"GET", FINE + FINE),
        (b"GET", FINE + b"H"),
        (b"GET", FINE[:-1]),
        (b"HEAD", FINE),
        (b"GET", b"HTTP/1.1 204 None\r\nContent-Length: 2\r\n\r\nok"),
        (b"GET", b"HTTP/1.1 304 Same\r\nContent-Length: 2\r\n\r\nok"),
    ],
)
async def test_after_anything_else_it_is_closed(upstream: Upstream, method: bytes, answer: bytes) -> None:
    response = await upstream.exchange(answer, method)
    response.finish(End.COMPLETE)
    assert upstream.home.reusable == [False]
    assert upstream.transport.closing == "abort"


async def test_a_connection_for_one_exchange_is_closed_behind_it(upstream: Upstream) -> None:
    upstream.connection.use_once()
    (await upstream.exchange(FINE)).finish(End.COMPLETE)
    assert (upstream.home.reusable, upstream.transport.closing) == ([False], "abort")


@pytest.mark.parametrize("end", [End.ABANDONED, End.BROKEN])
async def test_a_response_given_up_closes_its_connection(upstream: Upstream, end: End) -> None:
    (await upstream.exchange(FINE)).finish(end)
    assert upstream.home.reusable == [False]
    assert upstream.connection.closed


async def test_a_dropped_answer_that_arrived_whole_leaves_the_connection_reading(upstream: Upstream) -> None:
    size = BODY_HIGH_WATER_BYTES + 1
    answer = b"HTTP/1.1 503 No\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    response = await upstream.exchange(answer, step=BODY_HIGH_WATER_BYTES)
    assert not upstream.transport.reading
    response.discard()
    assert (upstream.home.reusable, upstream.transport.reading) == ([True], True)


async def test_a_dropped_answer_under_way_closes_the_connection(upstream: Upstream) -> None:
    (await upstream.exchange(FINE[:-1])).discard()
    assert (upstream.home.reusable, upstream.connection.closed) == ([False], True)


async def test_bytes_without_a_request_close_the_connection(upstream: Upstream) -> None:
    (await upstream.exchange(FINE)).finish(End.COMPLETE)
    upstream.connection.data_received(b"H")
    assert upstream.connection.closed


async def test_a_connection_whose_other_side_closed_is_closed_at_once(upstream: Upstream) -> None:
    response = await upstream.exchange(FINE)
    upstream.connection.eof_received()
    response.finish(End.COMPLETE)
    assert upstream.home.reusable == [False], "it must not be pooled until the loop reports it lost"


async def test_a_body_delimited_by_the_close_ends_with_it(upstream: Upstream) -> None:
    response = await upstream.exchange(b"HTTP/1.1 200 OK\r\n\r\nok")
    body = body_of(response)
    assert not body.whole
    upstream.connection.eof_received()
    assert (body.whole, body.take()) == (True, b"ok")


@pytest.mark.parametrize("answer", [FINE[:-1], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"])
async def test_a_body_cut_short_is_broken(upstream: Upstream, answer: bytes) -> None:
    body = body_of(await upstream.exchange(answer))
    upstream.connection.eof_received()
    with pytest.raises(ConnectionBroken):
        body.take()


async def test_a_reset_breaks_a_body_delimited_by_the_close(upstream: Upstream) -> None:
    body = body_of(await upstream.exchange(b"HTTP/1.1 200 OK\r\n\r\nok"))
    upstream.connection.connection_lost(ConnectionResetError())
    assert isinstance(body.error, ConnectionBroken)
    assert upstream.home.losses == 1


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 O", b"HTTP/1.1 103 Early\r\n\r\n"])
async def test_a_close_before_the_head_breaks_the_exchange(upstream: Upstream, answer: bytes) -> None:
    task = await upstream.send(Request(b"GET", b"/", [], 0.0))
    if answer:
        upstream.connection.data_received(answer)
    upstream.connection.eof_received()
    with pytest.raises(ConnectionBroken) as raised:
        await task
    assert raised.value.sent
    assert upstream.connection.answered == bool(answer)


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense",
        b"HTTP/1.1 099 Low\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 103 Early\r\n\r\n" * 17,
        FINE.replace(b"OK", b"OK\r\nTransfer-Encoding: chunked"),
        FINE.replace(b"OK", b"OK\r\nContent-Length: 2"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"y" * (MAX_HEAD_BYTES + 100),
        b"HTTP/1.1 200 " + b"y" * (MAX_LINE_BYTES - 2) + b"\r\n\r\n",
    ],
)
async def test_nonsense_is_a_protocol_error(upstream: Upstream, answer: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        await upstream.exchange(answer)
    assert upstream.connection.closed


async def test_sixteen_interim_answers_are_passed_on_but_100(upstream: Upstream) -> None:
    request = Request(b"GET", b"/", [], 0.0)
    seen: list[tuple[int, bytes]] = []
    request.send_interim = lambda status, reason, headers: seen.append((status, reason))
    task = await upstream.send(request)
    upstream.connection.data_received(b"HTTP/1.1 100 Go\r\n\r\n" + b"HTTP/1.1 103 Early\r\n\r\n" * 15 + FINE)
    assert (await task).status == 200
    assert seen == [(103, b"Early")] * 15


async def test_no_head_in_time_is_a_timeout(upstream: Upstream) -> None:
    task = await upstream.send(Request(b"GET", b"/", [], 0.0), timeout_s=0.001)
    with pytest.raises(ResponseTimeout) as raised:
        await task
    assert raised.value.sent
    assert upstream.connection.closed


async def test_a_cancelled_exchange_closes_the_connection(upstream: Upstream) -> None:
    task = await upstream.send(Request(b"GET", b"/", [], 0.0))
    task.cancel()
    await asyncio.wait([task])
    assert upstream.connection.closed


def uploading(length: int | None = None) -> tuple[Request, BodyStream]:
    request = Request(b"PUT", b"/", [], 0.0)
    request.body, request.content_length = BodyStream(lambda: None, lambda: None), length
    return request, request.body


@pytest.mark.parametrize(("length", "sent"), [(4, b"abcd"), (None, b"4\r\nabcd\r\n0\r\n\r\n")])
async def test_a_body_that_is_here_goes_out_with_the_head(upstream: Upstream, length: int | None, sent: bytes) -> None:
    request, body = uploading(length)
    body.feed(b"ab")
    body.feed(b"cd")
    body.end()
    task = await upstream.send(request)
    assert upstream.transport.written == HEAD + sent
    upstream.connection.data_received(FINE)
    (await task).finish(End.COMPLETE)
    assert upstream.home.reusable == [True]


@pytest.mark.parametrize(("length", "sent"), [(4, b"abcd"), (None, b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n")])
async def test_a_body_under_way_is_streamed(upstream: Upstream, length: int | None, sent: bytes) -> None:
    request, body = uploading(length)
    task = await upstream.send(request)
    for piece in (b"ab", b"cd"):
        body.feed(piece)
        await settle()
    body.end()
    await settle()
    assert upstream.transport.written == HEAD + sent
    upstream.connection.data_received(FINE)
    (await task).finish(End.COMPLETE)
    assert upstream.home.reusable == [True]


async def test_an_answer_before_the_end_of_the_upload_costs_the_connection(upstream: Upstream) -> None:
    request, _ = uploading()
    task = await upstream.send(request)
    upstream.connection.data_received(FINE)
    (await task).finish(End.COMPLETE)
    assert (upstream.home.reusable, upstream.connection.closed) == ([False], True)


async def test_an_upload_waits_while_the_instance_does_not_read(upstream: Upstream) -> None:
    request, body = uploading(4)
    task = await upstream.send(request)
    upstream.connection.pause_writing()
    body.feed(b"ab")
    await settle()
    body.feed(b"cd")
    await settle()
    assert upstream.transport.written == HEAD + b"ab"
    upstream.connection.resume_writing()
    await settle()
    assert upstream.transport.written == HEAD + b"abcd"
    task.cancel()
    await asyncio.wait([task])


async def test_an_instance_that_stops_reading_times_out(upstream: Upstream) -> None:
    request, body = uploading(4)
    request.idle_timeout_s = 0.001
    task = await upstream.send(request)
    upstream.connection.pause_writing()
    body.feed(b"ab")
    with pytest.raises(ResponseTimeout):
        await task


@pytest.mark.parametrize(("fault", "status"), [(BadRequest("bad chunk"), 400), (None, 408)])
async def test_a_callers_broken_upload_ends_the_exchange_as_its_own_fault(
    upstream: Upstream, fault: ProxyError | None, status: int
) -> None:
    request, body = uploading()
    if fault is None:
        request.idle_timeout_s = 0.001
    task = await upstream.send(request)
    if fault is not None:
        body.fail(fault)
    with pytest.raises(BadRequest) as raised:
        await task
    assert raised.value.status == status
    assert upstream.connection.closed


async def test_nothing_is_written_after_the_connection_broke_within_an_upload(upstream: Upstream) -> None:
    request, body = uploading()
    task = await upstream.send(request)
    upstream.connection.eof_received()
    body.feed(b"more")
    with pytest.raises(ConnectionBroken):
        await task
    assert upstream.transport.written == HEAD


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TINY_COUNT = 2 * CHUNKS_PER_TURN + 1
TINY_CHUNKS = b"1\r\nx\r\n" * TINY_COUNT
LAST = b"0\r\n\r\n"


async def test_an_instance_with_tiny_chunks_lets_others_have_their_turn(upstream: Upstream) -> None:
    response = await upstream.exchange(CHUNKED)
    body = body_of(response)
    upstream.connection.data_received(TINY_CHUNKS + LAST)
    assert (body.received_bytes, upstream.transport.reading) == (CHUNKS_PER_TURN, False)
    await asyncio.sleep(0)
    assert body.received_bytes == 2 * CHUNKS_PER_TURN
    await settle()
    assert (len(body.take()), body.whole, upstream.transport.reading) == (TINY_COUNT, True, True)
    response.finish(End.COMPLETE)
    assert upstream.home.reusable == [True]
    assert taken(await upstream.exchange(FINE)) == b"ok", "and nothing of it meets the next exchange"


async def test_a_body_that_nobody_takes_keeps_the_instance_paused_when_its_turns_are_over(upstream: Upstream) -> None:
    body = body_of(await upstream.exchange(CHUNKED))
    upstream.connection.data_received(b"%x\r\n%b\r\n" % (99_999, bytes(99_999)) + TINY_CHUNKS)
    await settle()
    assert not upstream.transport.reading
    body.take()
    body.take()
    assert upstream.transport.reading


async def test_what_tls_hands_on_though_paused_comes_behind_what_is_left(upstream: Upstream) -> None:
    body = body_of(await upstream.exchange(CHUNKED))
    upstream.connection.data_received(TINY_CHUNKS)
    upstream.connection.data_received(b"1\r\ny\r\n" + LAST)
    assert body.received_bytes == CHUNKS_PER_TURN
    await settle()
    assert body.whole
    assert body.take() == b"x" * TINY_COUNT + b"y"


@pytest.mark.parametrize("end", [LAST, b""])
@pytest.mark.parametrize("told", [True, False])
async def test_the_end_of_a_connection_counts_behind_what_came_before_it(
    upstream: Upstream, end: bytes, told: bool
) -> None:
    body = body_of(await upstream.exchange(CHUNKED))
    upstream.connection.data_received(TINY_CHUNKS + end)
    if told:
        upstream.connection.eof_received()
    upstream.transport.abort()
    upstream.connection.connection_lost(None)
    await settle()
    assert body.received_bytes == TINY_COUNT
    assert body.whole == bool(end)
    if not end:
        with pytest.raises(ConnectionBroken):
            body.take()


async def test_what_is_left_is_not_read_once_the_exchange_is_given_up(upstream: Upstream) -> None:
    response = await upstream.exchange(CHUNKED)
    upstream.connection.data_received(TINY_CHUNKS + LAST)
    response.finish(End.ABANDONED)
    await settle()
    assert body_of(response).received_bytes == CHUNKS_PER_TURN
    assert (upstream.home.reusable, upstream.connection.closed) == ([False], True)


@pytest.mark.parametrize("behind", [LAST + b"H", b"x"])
async def test_a_fault_in_a_later_turn_costs_the_connection_too(upstream: Upstream, behind: bytes) -> None:
    response = await upstream.exchange(CHUNKED)
    upstream.connection.data_received(TINY_CHUNKS + behind + b"\r\n")
    await settle()
    response.finish(End.COMPLETE)
    assert upstream.home.reusable == [False]


@pytest.mark.parametrize("length", [None, 200_000])
async def test_a_large_piece_of_an_upload_goes_out_as_it_is(upstream: Upstream, length: int | None) -> None:
    request, body = uploading(length)
    task = await upstream.send(request)
    body.feed(bytes(100_000))
    await settle()
    sent = upstream.transport.written.removeprefix(HEAD)
    assert sent == (bytes(100_000) if length else b"%x\r\n%b\r\n" % (100_000, bytes(100_000)))
    task.cancel()
    await asyncio.wait([task])

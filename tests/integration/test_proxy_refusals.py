"""Requests that two parsers could read differently, and others not served: nothing of them reaches an instance."""

import asyncio

import pytest

from prana.wire.limits import MAX_HEAD_BYTES, MAX_HEADERS, MAX_LINE_BYTES

from .conftest import Running, Upstream, get, post

CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLED = b"GET /orders/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def bodied(*headers: bytes, body: bytes = b"0\r\n\r\n" + SMUGGLED) -> bytes:
    return get(b"/orders/", *headers, method=b"POST") + body


REFUSED: dict[str, tuple[int, bytes]] = {
    "length and coding": (400, bodied(b"Content-Length: 5", CHUNKED)),
    "coding and length": (400, bodied(CHUNKED, b"Content-Length: 5")),
    "two lengths": (400, bodied(b"Content-Length: 5", b"Content-Length: 6")),
    "two equal lengths": (400, bodied(b"Content-Length: 5", b"content-length: 5")),
    "list of lengths": (400, bodied(b"Content-Length: 5, 5")),
    "signed length": (400, bodied(b"Content-Length: +5")),
    "negative length": (400, bodied(b"Content-Length: -5")),
    "hexadecimal length": (400, bodied(b"Content-Length: 0x5")),
    "length with underscore": (400, bodied(b"Content-Length: 1_0")),
    "empty length": (400, bodied(b"Content-Length: ")),
    "length overflow": (400, bodied(b"Content-Length: 18446744073709551621")),
    "length with underscore in its name": (400, bodied(b"Content_Length: 5")),
    "coding with underscore in its name": (400, bodied(b"Transfer_Encoding: chunked")),
    "coding behind a space": (400, bodied(b"Transfer-Encoding : chunked")),
    "coding behind a vertical tab": (400, bodied(b"Transfer-Encoding:\x0bchunked")),
    "empty coding": (400, bodied(b"Transfer-Encoding:")),
    "two codings": (400, bodied(CHUNKED, CHUNKED)),
    "chunked twice": (400, bodied(b"Transfer-Encoding: chunked, chunked")),
    "chunked not last": (400, bodied(b"Transfer-Encoding: chunked, identity")),
    "gzip and chunked": (501, bodied(b"Transfer-Encoding: gzip, chunked")),
    "no chunked at all": (400, bodied(b"Transfer-Encoding: xchunked")),
    "quoted coding": (400, bodied(b'Transfer-Encoding: "chunked"')),
    "coding in HTTP/1.0": (400, b"POST /orders/ HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "folded header": (400, bodied(b"X: a", b" Content-Length: 5")),
    "space before the first header": (400, b"GET /orders/ HTTP/1.1\r\n Host: a\r\n\r\n"),
    "bare LF": (400, b"GET /orders/ HTTP/1.1\nHost: a\n\n"),
    "bare LF between headers": (400, bodied(b"X: a\nContent-Length: 5")),
    "bare CR in a value": (400, bodied(b"X: a\rContent-Length: 5")),
    "NUL in a value": (400, bodied(b"X: a\x00b")),
    "control character in a value": (400, bodied(b"X: a\x1bb")),
    "empty name": (400, bodied(b": a")),
    "space in a name": (400, bodied(b"X Y: a")),
    "non-ASCII name": (400, bodied(b"X\xe9: a")),
    "no host": (400, b"GET /orders/ HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET /orders/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    "two hosts in HTTP/1.0": (400, b"GET /orders/ HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    "empty host": (400, b"GET /orders/ HTTP/1.1\r\nHost: \r\n\r\n"),
    "userinfo in the host": (400, b"GET /orders/ HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    "path in the host": (400, b"GET /orders/ HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "port that is none": (400, b"GET /orders/ HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    "no version": (400, b"GET /orders/\r\n\r\n"),
    "HTTP/2": (505, b"GET /orders/ HTTP/2.0\r\nHost: a\r\n\r\n"),
    "HTTP/3": (505, b"GET /orders/ HTTP/3.0\r\nHost: a\r\n\r\n"),
    "HTTP/0.9": (400, b"GET /orders/ HTTP/0.9\r\nHost: a\r\n\r\n"),
    "lower-case version": (400, b"GET /orders/ http/1.1\r\nHost: a\r\n\r\n"),
    "space in the target": (400, b"GET /orders/a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "space after the version": (400, b"GET /orders/ HTTP/1.1 \r\nHost: a\r\n\r\n"),
    "unknown method": (501, b"BREW /orders/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "lower-case method": (501, b"get /orders/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "CONNECT": (405, b"CONNECT orders:80 HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED),
    "TRACE": (405, get(b"/orders/", method=b"TRACE")),
    "other expectation": (417, bodied(b"Content-Length: 5", b"Expect: 200-maybe")),
    "long target": (414, get(b"/orders/" + b"a" * MAX_LINE_BYTES)),
    "long header": (431, get(b"/orders/", b"X: " + b"a" * MAX_LINE_BYTES)),
    "many headers": (431, get(b"/orders/", *[b"X: a"] * MAX_HEADERS)),
    "large head": (431, get(b"/orders/", *[b"X: " + b"a" * 8000] * (MAX_HEAD_BYTES // 8000 + 1))),
    "large name": (431, get(b"/orders/", b"X" * (MAX_HEAD_BYTES + 65536))),
    "nothing but line ends": (431, b"\r\n" * MAX_HEAD_BYTES),
}


@pytest.mark.parametrize("step", [2**20, 1], ids=["at once", "byte by byte"])
@pytest.mark.parametrize(("status", "raw"), REFUSED.values(), ids=REFUSED.keys())
async def test_refused_and_nothing_reaches_the_instance(
    running: Running, upstream: Upstream, status: int, raw: bytes, step: int
) -> None:
    if step == 1 and len(raw) > 1000:
        step = 997
    caller = await running.open()
    for at in range(0, len(raw), step):
        caller.writer.write(raw[at : at + step])
        await asyncio.sleep(0)
    answer = await caller.answer()
    assert answer.problem == (status, "http_request_error")
    assert answer.value(b"Connection") == b"close"
    assert await caller.ended() in ("closed", "reset"), "and what follows is not read"
    assert upstream.connections == 0
    assert (answer.values(b"Allow") != []) == (status == 405)


BAD_CHUNKS = {
    "prefix": b"0x1\r\na\r\n0\r\n\r\n",
    "sign": b"+1\r\na\r\n0\r\n\r\n",
    "underscore": b"1_0\r\na\r\n0\r\n\r\n",
    "space after the size": b"1 \r\na\r\n0\r\n\r\n",
    "no size": b"\r\na\r\n0\r\n\r\n",
    "overflow": b"10000000000000001\r\na\r\n0\r\n\r\n",
    "LF after the size": b"1\na\r\n0\r\n\r\n",
    "LF in an extension": b"1;a\nb\r\na\r\n0\r\n\r\n",
    "NUL in an extension": b"1;a\x00\r\na\r\n0\r\n\r\n",
    "line end in a quoted extension": b'1;a="\r\n"\r\na\r\n0\r\n\r\n',
    "other bytes after the data": b"1\r\naXX0\r\n\r\n",
    "LF after the data": b"1\r\na\n0\r\n\r\n",
    "bad trailer": b"1\r\na\r\n0\r\nX : y\r\n\r\n",
    "endless trailer": b"1\r\na\r\n0\r\nX: " + b"y" * 300_000,
    "endless extension": b"1;" + b"y" * 300_000,
}


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
async def test_bad_chunks_are_never_delivered_as_a_complete_body(
    running: Running, upstream: Upstream, chunks: bytes
) -> None:
    caller = await running.open()
    await caller.send(get(b"/orders/", CHUNKED, method=b"POST") + chunks)
    answer = await caller.answer()
    assert answer.problem == (431 if len(chunks) > 1000 else 400, "http_request_error")
    assert answer.value(b"Connection") == b"close"
    assert upstream.requests == [] or not upstream.requests[0].body
    for peer in upstream.peers:
        assert not (await peer.rest_or_nothing()).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("good", [get(b"/orders/good"), post(b"/orders/good", b"0\r\n\r\n")])
async def test_a_bad_request_behind_a_good_one_does_not_cost_the_good_answer(
    running: Running, upstream: Upstream, good: bytes
) -> None:
    caller = await running.open()
    await caller.send(good + b"\x00bad\r\n\r\n" + SMUGGLED)
    assert (await caller.answer()).status == 200
    assert (await caller.answer()).problem[0] == 501
    assert await caller.rest() == b""
    assert [request.line.split(b" ")[1] for request in upstream.requests] == [b"/good"]


async def test_a_line_end_before_a_request_is_passed_over(running: Running) -> None:
    caller = await running.open()
    for _ in range(2):
        assert (await caller.ask(b"\r\n" + get(b"/orders/"))).status == 200


async def test_connect_does_not_poison_the_next_callers_connection(running: Running, upstream: Upstream) -> None:
    first, second = await running.open(), await running.open()
    assert (await first.ask(get(b"/orders/1"))).status == 200
    await first.send(b"CONNECT orders:80 HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED)
    assert (await first.answer()).status == 405
    assert (await second.ask(get(b"/orders/2"))).body == b"ok"
    assert [request.line for request in upstream.requests] == [b"GET /1 HTTP/1.1", b"GET /2 HTTP/1.1"]


@pytest.mark.parametrize(
    "headers", [[b"X: " + b"a" * (MAX_LINE_BYTES - 1)], [b"X: a"] * (MAX_HEADERS - 1), [b"X: " + b"a" * 7900] * 4]
)
async def test_what_is_just_within_the_limits_passes(
    running: Running, upstream: Upstream, headers: list[bytes]
) -> None:
    target = b"/orders/" + b"a" * (MAX_LINE_BYTES - len(b"/orders/"))
    assert (await running.ask(get(target, *headers))).status == 200
    assert len(upstream.requests[0].values(b"X")) == len(headers)

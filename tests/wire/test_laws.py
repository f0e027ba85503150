"""Laws of the wire: however bytes are cut they mean the same, and what is written is read back as it was."""

import asyncio
import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prana.request import Request, Response
from prana.wire.body import BodyStream
from prana.wire.fields import IN_REQUESTS, Field, FieldLines, Headers
from prana.wire.headers import request_head, response_head
from prana.wire.reader import RequestReader
from prana.wire.trailers import last_chunk
from prana.wire.upstream import UpstreamConnection

from .conftest import FakeHome, FakeTransport, Pair, pairs
from .conftest import fields as parsed

TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VISIBLE = bytes([*range(0x21, 0x7F), *range(0x80, 0x100)])
quickly = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def some(alphabet: bytes, min_size: int = 0, max_size: int = 12) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(alphabet), min_size=min_size, max_size=max_size).map(bytes)


values = st.lists(some(VISIBLE, 1), max_size=3).map(b" ".join)
fields = st.lists(st.tuples(some(TOKEN).map(b"a-".__add__), values), max_size=5)
chunks = st.lists(st.binary(min_size=1, max_size=20), max_size=5)
reasons = st.lists(some(VISIBLE, 1), max_size=3).map(b" ".join)
cuts = st.sets(st.integers(0, 600), max_size=12)


@dataclass
class Message:
    """A request or an answer; `length` for a body with a length, else chunked."""

    headers: list[Pair]
    chunks: list[bytes]
    trailers: list[Pair]
    length: bool
    method: bytes = b""
    target: bytes = b""
    status: int = 0
    reason: bytes = b""
    spaces: bytes = field(default=b" ", compare=False)

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def raw(self) -> bytes:
        if self.status:
            first = b"HTTP/1.1 %d %b" % (self.status, self.reason)
        else:
            first = b"%b %b HTTP/1.1\r\nHost:h%b" % (self.method, self.target, self.spaces)
        lines = [name + b":" + self.spaces + value + self.spaces for name, value in self.headers]
        lines.append(b"Content-Length: %d" % len(self.body) if self.length else b"Transfer-Encoding: chunked")
        head = b"\r\n".join([first, *lines]) + b"\r\n\r\n"
        if self.length:
            return head + self.body
        sized = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in self.chunks]
        return head + b"".join(sized) + last_chunk(parsed(self.trailers), frozenset())


def messages(**more: st.SearchStrategy[object]) -> st.SearchStrategy[Message]:
    return st.builds(
        Message,
        headers=fields,
        chunks=chunks,
        trailers=fields,
        length=st.booleans(),
        spaces=st.sampled_from([b"", b" ", b"\t  "]),
        **more,
    )


requests = messages(
    method=st.sampled_from([b"GET", b"POST", b"PUT", b"M-SEARCH", b"OPTIONS"]),
    target=some(bytes(set(range(0x21, 0x7F)) - set(b"\\#")), max_size=30).map(b"/".__add__),
)
answers = messages(status=st.sampled_from([200, 201, 299, 400, 404, 503]), reason=reasons)


def pieces(raw: bytes, cuts: set[int]) -> list[bytes]:
    at = [0, *sorted(cut for cut in cuts if 0 < cut < len(raw)), len(raw)]
    return [raw[start:end] for start, end in itertools.pairwise(at)]


def read_requests(parts: list[bytes]) -> list[Request]:
    read: list[Request] = []

    def new(method: bytes, target: bytes, headers: Headers) -> Request:
        return Request(method, target, headers, 0.0)

    def nothing() -> None:
        """Nobody is held up here."""

    lines = FieldLines(IN_REQUESTS)
    reader = RequestReader(
        lines, new, read.append, nothing, nothing, nothing, lambda authority: True, lambda held: None
    )
    for part in parts:
        reader.feed(part)
    return read


async def read_answer(parts: list[bytes], method: bytes = b"GET") -> Response:
    connection = UpstreamConnection(FakeHome())
    connection.connection_made(FakeTransport(sockname=("127.0.0.1", 1)))
    exchange = asyncio.ensure_future(connection.exchange(Request(method, b"/", [], 0.0), b"", 60.0))
    await asyncio.sleep(0)
    for part in parts:
        connection.data_received(part)
    return await exchange


def taken(body: BodyStream | bytes | None) -> tuple[bytes, list[Pair], bool]:
    if isinstance(body, bytes):
        return body, [], True
    assert body is not None
    return body.take(), pairs(body.trailers), body.whole


@quickly
@given(st.lists(requests, min_size=1, max_size=3), cuts)
def test_requests_mean_the_same_however_they_are_cut(sent: list[Message], cuts: set[int]) -> None:
    read = read_requests(pieces(b"".join(message.raw for message in sent), cuts))
    assert [request.malformed for request in read] == [None] * len(sent)
    for request, message in zip(read, sent, strict=True):
        assert (request.method, request.target) == (message.method, message.target)
        assert pairs(request.headers[1:-1]) == message.headers
        assert request.host == b"h"
        if message.body or not message.length:
            assert taken(request.body) == (message.body, [] if message.length else message.trailers, True)
        else:
            assert request.body is None


@quickly
@given(answers, cuts)
async def test_an_answer_means_the_same_however_it_is_cut(sent: Message, cuts: set[int]) -> None:
    response = await read_answer(pieces(b"HTTP/1.1 103 Early\r\n\r\n" + sent.raw, cuts))
    assert (response.status, response.reason, pairs(response.headers[:-1])) == (
        sent.status,
        sent.reason,
        sent.headers,
    )
    assert taken(response.body) == (sent.body, [] if sent.length else sent.trailers, True)


@quickly
@given(requests, st.booleans())
def test_the_head_written_to_an_instance_is_read_back(message: Message, from_loopback: bool) -> None:
    request = Request(message.method, b"/orders", parsed(message.headers), 0.0)
    request.path, request.request_id, request.from_loopback = message.target, b"id", from_loopback
    (read,) = read_requests([request_head(request, b"instance:1", 5.0)])
    assert read.malformed is None
    assert (read.method, read.target, read.host) == (message.method, message.target, b"instance:1")
    assert pairs(read.headers[1 : 1 + len(message.headers)]) == message.headers


@quickly
@given(answers)
async def test_the_head_written_to_a_caller_is_read_back(message: Message) -> None:
    response = Response(message.status, message.reason, parsed(message.headers), b"")
    head = response_head(response, b"id", b"\r\nContent-Length: 0", b"now")
    read = await read_answer([head])
    assert (read.status, read.reason) == (message.status, message.reason)
    assert pairs(read.headers[: len(message.headers)]) == message.headers


@pytest.mark.parametrize("name", [b"Host", b"CONTENT-LENGTH", b"content_length", b"X-Prana-Service", b"x-hop"])
@quickly
@given(trailers=fields)
def test_what_may_not_travel_on_leaves_the_other_trailers_as_they_are(name: bytes, trailers: list[Pair]) -> None:
    end = last_chunk([*parsed(trailers), Field(name, b"x")], frozenset([b"x-hop"]))
    assert end == last_chunk(parsed(trailers), frozenset())

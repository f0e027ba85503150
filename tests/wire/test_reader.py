"""Requests out of bytes, without any socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.errors import BadRequest
from prana.request import Request
from prana.wire.fields import IN_REQUESTS, FieldLines, Headers
from prana.wire.limits import BODY_HIGH_WATER_BYTES, MAX_HEAD_BYTES, MAX_LINE_BYTES
from prana.wire.reader import RequestReader

from .conftest import pairs


class Read:
    """A reader and what it called."""

    def __init__(self, *, from_loopback: bool = True) -> None:
        self.from_loopback = from_loopback
        self.requests: list[Request] = []
        self.pauses = 0
        self.continues = 0
        self.held: list[bytes] = []
        self.reader = RequestReader(
            FieldLines(IN_REQUESTS),
            self._new,
            self.requests.append,
            self._pause,
            self._resume,
            self._continue,
            lambda authority: authority == b"own:9",
            self.held.append,
        )

    def _new(self, method: bytes, target: bytes, headers: Headers) -> Request:
        request = Request(method, target, headers, 0.0)
        request.from_loopback = self.from_loopback
        return request

    def _pause(self) -> None:
        self.pauses += 1

    def _resume(self) -> None:
        self.pauses -= 1

    def _continue(self) -> None:
        self.continues += 1

    def feed(self, data: bytes, step: int = 2**20) -> "Read":
        for at in range(0, len(data), step):
            self.reader.feed(data[at : at + step])
        return self

    @property
    def one(self) -> Request:
        (request,) = self.requests
        return request

    @property
    def summary(self) -> list[tuple[object, ...]]:
        return [
            (
                request.method,
                request.target,
                pairs(request.headers),
                request.host,
                request.http10,
                request.keep_alive,
                request.content_length,
                request.connection_tokens,
                request.via_count,
                request.explain,
                request.malformed and (request.malformed.status, request.malformed.detail),
                request.max_forwards,
                request.body
                and (request.body.whole, request.body.error is None, taken(request), pairs(request.body.trailers)),
            )
            for request in self.requests
        ]


def taken(request: Request) -> bytes:
    body = request.body
    assert body is not None
    return b"" if body.error is not None else body.take()


GET = b"GET /a/b%2F?c=d HTTP/1.1\r\nHost: h:1\r\nX-Empty:\r\nX-A:  b c \r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nT: u\r\n\r\n"
UPGRADE = b"POST /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nGET "
UPGRADE_CHUNKED = CHUNKED.replace(b"Host: h", b"Host: h\r\nConnection: Upgrade\r\nUpgrade: h2c")
UPGRADE_BODILESS = b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
HANDSHAKE = UPGRADE_BODILESS.replace(
    b"Host: h", b"Host: h\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)
OLD = b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
VIA = b"GET /a HTTP/1.1\r\nHost: h\r\nVia: 1.1 prana, 1.0 x\r\nVia: 1.1 prana\r\nX-Prana-Explain: 1\r\n\r\n"
ABSOLUTE = b"GET http://own:9?q HTTP/1.1\r\nHost: h\r\n\r\n"
CLOSING = b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: x-a, Close\r\n\r\n"
MALFORMED = [
    b"GET /a HTTP/1.1\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n",
    b"brew /a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /a HTTP/2.0\r\nHost: h\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX",
]
WELL_FORMED = [GET, POST, CHUNKED, UPGRADE, UPGRADE_CHUNKED, UPGRADE_BODILESS, VIA, ABSOLUTE]


@given(
    st.lists(st.sampled_from(WELL_FORMED), max_size=4),
    st.sampled_from([b"", CLOSING, OLD, *MALFORMED]),
    st.data(),
)
def test_however_the_bytes_are_cut_the_requests_are_the_same(
    requests: list[bytes], last: bytes, data: st.DataObject
) -> None:
    raw = b"".join(requests) + last
    expected = Read().feed(raw).summary
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=8)))
    read = Read()
    for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        read.reader.feed(raw[start:end])
    assert read.summary == expected
    assert Read().feed(raw, step=1).summary == expected
    assert len(expected) == len(requests) + bool(last)


@given(st.integers(1, 400))
def test_reading_stops_behind_a_handshake_wherever_it_was_cut(step: int) -> None:
    read = Read()
    raw = GET + HANDSHAKE + POST
    at = 0
    while not read.held:
        read.reader.feed(raw[at : at + step])
        at += step
    assert [request.upgrade is not None for request in read.requests] == [False, True]
    assert read.held == [raw[len(GET + HANDSHAKE) : at]]
    read.feed(POST)
    assert read.requests[2].body is not None, "the handshake failed, and what follows is a request again"


def test_an_offer_behind_a_failed_handshake_is_passed_over_like_any() -> None:
    read = Read().feed(HANDSHAKE)
    read.feed(UPGRADE + UPGRADE_CHUNKED + UPGRADE_BODILESS + GET)
    assert [request.upgrade is not None for request in read.requests] == [True, False, False, False, False]
    assert [taken(request) for request in read.requests[1:3]] == [b"GET ", b"abcd"]
    assert read.held == [b""]


def test_a_handshake_with_a_body_is_none() -> None:
    framed = HANDSHAKE.replace(b"Host: h", b"Host: h\r\nContent-Length: 4") + b"GET "
    chunked = HANDSHAKE.replace(b"Host: h", b"Host: h\r\nTransfer-Encoding: chunked") + b"4\r\nGET \r\n0\r\n\r\n"
    read = Read().feed(framed + chunked + GET)
    assert [request.upgrade for request in read.requests] == [None] * 3
    assert [taken(request) for request in read.requests[:2]] == [b"GET "] * 2
    assert read.held == []


def test_a_request_is_read_as_it_was_sent() -> None:
    request = Read().feed(GET).one
    assert (request.method, request.target, request.host) == (b"GET", b"/a/b%2F?c=d", b"h:1")
    assert [field.name for field in request.headers] == [b"Host", b"X-Empty", b"X-A"]
    assert pairs(request.headers[1:]) == [(b"X-Empty", b""), (b"X-A", b"b c")]
    assert (request.body, request.content_length, request.keep_alive) == (None, None, True)


def test_bodies_follow_their_heads() -> None:
    posted, put = Read().feed(POST + CHUNKED).requests
    assert (posted.content_length, taken(posted)) == (3, b"abc")
    assert (put.content_length, taken(put)) == (None, b"abcd")
    assert pairs(put.headers) == [(b"Host", b"h"), (b"Transfer-Encoding", b"chunked")], "a trailer is no header"


def test_an_upgrade_offer_does_not_hide_the_body_or_what_follows() -> None:
    read = Read().feed(UPGRADE + UPGRADE_CHUNKED + UPGRADE_BODILESS + GET)
    bodies = [request.body and taken(request) for request in read.requests]
    assert bodies == [b"GET ", b"abcd", None, None]
    trailers = [pairs(request.body.trailers) for request in read.requests if request.body is not None]
    assert trailers == [[], [(b"T", b"u")]]
    assert read.requests[0].connection_tokens == {b"upgrade"}
    assert not any(request.malformed for request in read.requests)


def test_the_authority_of_an_absolute_target_overrides_the_host() -> None:
    request = Read().feed(ABSOLUTE).one
    assert (request.host, request.target) == (b"own:9", b"/?q")


def test_nothing_is_read_after_close() -> None:
    read = Read().feed(CLOSING + GET)
    assert not read.one.keep_alive
    assert read.one.connection_tokens == {b"x-a", b"close"}
    assert read.reader.finished


def test_the_old_version_never_keeps_its_connection() -> None:
    assert not Read().feed(OLD).one.keep_alive
    assert not Read().feed(b"GET /a HTTP/1.0\r\n\r\n").one.keep_alive


def test_hops_and_explain_are_noted() -> None:
    request = Read().feed(VIA).one
    assert (request.via_count, request.explain) == (2, True)


def test_only_loopback_gets_an_explanation() -> None:
    assert not Read(from_loopback=False).feed(VIA).one.explain


@pytest.mark.parametrize("raw", MALFORMED)
def test_a_malformed_message_is_the_last(raw: bytes) -> None:
    read = Read().feed(GET + raw + GET)
    assert len(read.requests) == 2
    assert read.reader.finished
    last = read.requests[1]
    assert last.malformed is not None or (last.body is not None and isinstance(last.body.error, BadRequest))


def test_a_refused_head_in_progress_becomes_a_malformed_request() -> None:
    read = Read().feed(b"GET /a HT")
    assert read.reader.in_head
    read.reader.refuse(BadRequest("too slow", status=408))
    assert read.one.malformed is not None
    assert read.one.malformed.status == 408
    assert not read.reader.in_head
    assert read.feed(GET).requests == [read.one]


def test_it_knows_where_in_a_message_it_is() -> None:
    read = Read()
    seen = []
    for part in (b"\r\n", b"P", POST[1:-3], b"a", b"bc", b"GET /"):
        read.feed(part)
        seen.append((read.reader.in_head, read.reader.in_body))
    assert seen == [(False, False), (True, False), (False, True), (False, True), (False, False), (True, False)]
    assert Read().feed(GET + b"G").reader.in_head, "also behind a whole request"


def test_a_body_beyond_the_high_water_mark_pauses_until_more_is_wanted() -> None:
    read = Read().feed(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n")
    read.feed(bytes(BODY_HIGH_WATER_BYTES))
    assert read.pauses == 0
    read.feed(b"x" * 100)
    assert read.pauses == 1
    assert len(taken(read.one)) == BODY_HIGH_WATER_BYTES + 100
    assert read.pauses == 1
    assert taken(read.one) == b""
    assert read.pauses == 0


@pytest.mark.parametrize("hidden", [b"3;", b"0\r\nX: "], ids=["extension", "trailer"])
def test_what_the_parser_keeps_to_itself_is_bounded(hidden: bytes) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    read = Read().feed(head + hidden).feed(b"y" * (MAX_LINE_BYTES - 100), step=1000)
    assert not read.reader.finished
    read.feed(b"y" * 1000)
    assert read.reader.finished
    assert read.one.body is not None
    assert isinstance(read.one.body.error, BadRequest)
    assert read.one.body.error.status == 431


def test_chunks_of_any_number_are_no_head() -> None:
    read = Read().feed(b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    read.feed(b"1\r\nx\r\n" * MAX_HEAD_BYTES, step=7)
    assert not read.reader.finished
    assert len(taken(read.one)) > MAX_HEAD_BYTES - 3


@pytest.mark.parametrize(("version", "continues"), [(b"1.1", 1), (b"1.0", 0)], ids=["1.1 asks", "1.0 cannot"])
async def test_continue_is_sent_when_the_consumer_first_waits(version: bytes, continues: int) -> None:
    read = Read().feed(b"POST /a HTTP/" + version + b"\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    body = read.one.body
    assert body is not None
    assert (body.take(), read.continues) == (b"", 0)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await body.read(0.001)
    assert read.continues == continues


def test_each_request_may_have_an_empty_line_before_it() -> None:
    read = Read().feed((b"\r\n" + GET) * 10)
    assert [request.malformed for request in read.requests] == [None] * 10


def test_of_a_head_that_is_too_large_no_line_is_looked_at() -> None:
    lines = b"X-A: b\r\n" * (MAX_HEAD_BYTES // 4)
    read = Read().feed(b"GET /a HTTP/1.1\r\nHost: h\r\n" + lines + b"bad line\r\n\r\n")
    assert read.one.malformed is not None
    assert read.one.malformed.status == 431

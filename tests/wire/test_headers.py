"""Header rules as pure functions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.request import Request, Response
from prana.wire.authority import valid_host
from prana.wire.fields import IN_REQUESTS, IN_RESPONSES, Meaning
from prana.wire.headers import (
    interim_head,
    phrase,
    request_head,
    response_head,
    valid_request_id,
)

from .conftest import Pair, fields

HOP_BY_HOP = {name for name, meaning in IN_RESPONSES.items() if meaning is not Meaning.DATE} - {
    b"content-length",
    b"x-request-id",
}


def request(*headers: Pair, loopback: bool = True) -> Request:
    made = Request(b"GET", b"/s/a", fields(headers, IN_REQUESTS), 0.0)
    made.rewritten = [field for field in made.headers if field.meaning in (Meaning.FORWARDED, Meaning.VIA)]
    made.path, made.host, made.request_id = b"/a", b"front:1", b"id-1"
    made.caller_ip, made.proxy_port, made.from_loopback = b"203.0.113.9", 8078, loopback
    return made


def lines(head: bytes) -> list[bytes]:
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].split(b"\r\n")


FORWARDED = [
    (b"X-Forwarded-For", b"10.0.0.1"),
    (b"x-forwarded-proto", b"https"),
    (b"X-Forwarded-Host", b"shop"),
    (b"X-FORWARDED-PORT", b"443"),
]


def test_a_stranger_cannot_write_forwarded_headers() -> None:
    assert lines(request_head(request(*FORWARDED, loopback=False), b"i:1", 5.0))[2:] == [
        b"X-Forwarded-For: 203.0.113.9",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: front:1",
        b"X-Forwarded-Port: 8078",
        b"Via: 1.1 prana",
        b"X-Envoy-Expected-Rq-Timeout-Ms: 5000",
        b"X-Request-Id: id-1",
    ]


def test_loopback_may_and_the_caller_is_appended() -> None:
    assert lines(request_head(request(*FORWARDED, (b"X-Forwarded-For", b"10.0.0.2")), b"i:1", 5.0))[2:6] == [
        b"X-Forwarded-For: 10.0.0.1, 10.0.0.2, 203.0.113.9",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: shop",
        b"X-Forwarded-Port: 443",
    ]


def test_a_unix_sockets_caller_has_an_address_and_a_port_too() -> None:
    made = request()
    made.caller_ip, made.proxy_port, made.host = b"", 0, b""
    assert lines(request_head(made, b"i:1", 5.0))[2:6] == [
        b"X-Forwarded-For: 127.0.0.1",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: i:1",
        b"X-Forwarded-Port: 80",
    ]


def test_the_framing_is_written_anew() -> None:
    made = request((b"content-length", b"007"), (b"Transfer-Encoding", b"x"))
    assert not [line for line in lines(request_head(made, b"i:1", 5.0)) if b"ength" in line or b"ncoding" in line]
    made.content_length = 7
    assert lines(request_head(made, b"i:1", 5.0))[-1] == b"Content-Length: 7"


TOKEN = st.sampled_from([b"Host", b"X-A", b"x-a", b"Accept", b"Via", b"Expect", b"X-Request-Id", *HOP_BY_HOP])
VALUE = st.binary(max_size=5).map(lambda value: value.hex().encode())


@given(st.lists(st.tuples(TOKEN, VALUE)), st.sets(st.sampled_from([b"x-a", b"accept", b"x-none"])))
def test_end_to_end_headers_pass_in_order_and_hop_by_hop_ones_never(headers: list[Pair], nominated: set[bytes]) -> None:
    made = request(*((name, value) for name, value in headers if name != b"Host"))
    made.connection_tokens = frozenset(nominated)
    _, _, *out = lines(request_head(made, b"i:1", 5.0))
    names = [line.partition(b":")[0].lower() for line in out]
    assert not set(names) & (HOP_BY_HOP | nominated)
    plain = [b"%b: %b" % pair for pair in headers if pair[0].lower() in {b"x-a", b"accept"} - nominated]
    assert out[: len(plain)] == plain
    assert names.count(b"via") == names.count(b"x-request-id") == 1
    assert b"expect" not in names


@given(st.lists(st.tuples(st.sampled_from([b"Set-Cookie", b"X-A", b"Accept", *HOP_BY_HOP]), VALUE)))
def test_the_same_holds_on_the_way_back(headers: list[Pair]) -> None:
    response = Response(200, b"Fine", fields([*headers, (b"Content-Length", b"9"), (b"x-request-id", b"theirs")]), b"")
    first, *out = lines(response_head(response, b"id-1", b"\r\nContent-Length: 2", b"now"))
    assert first == b"HTTP/1.1 200 Fine"
    plain = [b"%b: %b" % pair for pair in headers if pair[0].lower() not in HOP_BY_HOP]
    assert out == [*plain, b"Date: now", b"X-Request-Id: id-1", b"Content-Length: 2"]


def test_what_an_instance_nominates_is_dropped_but_for_what_makes_the_message_readable() -> None:
    headers = [(b"Connection", b"X-A, close, Content-Type"), (b"X-A", b"1"), (b"Content-Type", b"a/b"), (b"date", b"d")]
    head = response_head(Response(200, b"OK", fields(headers), b""), b"id", b"", b"now")
    assert lines(head)[1:] == [b"Content-Type: a/b", b"date: d", b"X-Request-Id: id"]


def test_an_interim_head_passes_without_its_hop_by_hop_headers() -> None:
    head = interim_head(
        103, b"Early Hints", fields([(b"Link", b"a"), (b"Connection", b"x"), (b"Content-Length", b"1")])
    )
    assert lines(head) == [b"HTTP/1.1 103 Early Hints", b"Link: a"]


@pytest.mark.parametrize("host", [b"a", b"a.b-c_d:80", b"127.0.0.1:1", b"[::1]:8078", b"[fe80::1]", b"a:", b"x%20y"])
def test_hosts_that_are_valid(host: bytes) -> None:
    assert valid_host(host)


@pytest.mark.parametrize(
    "host",
    [b"", b":80", b"a b", b"a@b", b"a/b", b"a:b", b"a:123456", b"[::1", b"a,b c", b"a\r\n", b"\xe9", b"a?b", b"[g]"],
)
def test_hosts_that_are_not(host: bytes) -> None:
    assert not valid_host(host)


def test_a_request_id_is_short_and_visible() -> None:
    assert valid_request_id(b"a" * 128)
    assert not any(map(valid_request_id, [b"", b"a" * 129, b"a b", b"a\n", b"\xe9"]))


def test_customary_statuses_have_a_phrase() -> None:
    assert (phrase(502), phrase(299)) == (b"Bad Gateway", b"")

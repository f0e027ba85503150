"""Which request is a WebSocket handshake, and which answer accepts it."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.request import Request
from prana.wire.fields import IN_REQUESTS, listed
from prana.wire.upgrade import accept_value, accepts, offered

from .conftest import fields

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = [
    (b"Host", b"a"),
    (b"Connection", b"keep-alive, Upgrade"),
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", KEY),
]


def accepts_pairs(answer: list[tuple[bytes, bytes]], key: bytes) -> bool:
    return accepts(fields(answer), key)


def request(*changes: tuple[bytes, bytes], method: bytes = b"GET", http10: bool = False) -> Request:
    """A handshake with other values; an empty one takes the line away."""
    replaced = {name.lower() for name, _ in changes}
    headers = [line for line in HANDSHAKE if line[0].lower() not in replaced] + [line for line in changes if line[1]]
    made = Request(method, b"/", fields(headers, IN_REQUESTS), 0.0)
    made.http10 = http10
    made.connection_tokens = listed(b",".join(v for n, v in headers if n.lower() == b"connection"))
    return made


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [(b"upgrade", b"WebSocket")],
        [(b"UPGRADE", b"\twebsocket ")],
        [(b"Sec-WebSocket-Key", KEY + b" \t")],
        [(b"Sec-WebSocket-Key", b"+/+/+/+/+/+/+/+/+/+/+/==")],
        [(b"Connection", b"upgrade, x-mine")],
        [(b"Content-Length", b"0")],
    ],
)
def test_a_whole_handshake_is_one_whatever_its_case(changes: list[tuple[bytes, bytes]]) -> None:
    upgrade = offered(request(*changes))
    assert upgrade is not None
    assert len(upgrade.key) == 24
    assert upgrade.tunnel is None


@pytest.mark.parametrize(
    "changes",
    [
        [(b"Upgrade", b"")],
        [(b"Upgrade", b"h2c")],
        [(b"Upgrade", b"websocket/13")],
        [(b"Upgrade", b"websocket, h2c")],
        [(b"Upgrade", b"websocket"), (b"Upgrade", b"websocket")],
        [(b"Upgrade", b"web\xc5\xbfocket")],
        [(b"Sec-WebSocket-Version", b"")],
        [(b"Sec-WebSocket-Version", b"8")],
        [(b"Sec-WebSocket-Version", b"13, 8")],
        [(b"Sec-WebSocket-Version", b"13"), (b"Sec-WebSocket-Version", b"13")],
        [(b"Sec-WebSocket-Key", b"")],
        [(b"Sec-WebSocket-Key", KEY[:-1])],
        [(b"Sec-WebSocket-Key", KEY + b"=")],
        [(b"Sec-WebSocket-Key", b"-" + KEY[1:])],
        [(b"Sec-WebSocket-Key", KEY), (b"sec-websocket-key", KEY)],
        [(b"Connection", b"upgrade, close")],
        [(b"Connection", b"upgrade, Sec-WebSocket-Key")],
        [(b"Connection", b"upgrade, sec-websocket-protocol")],
    ],
)
def test_what_is_less_or_contradicts_itself_is_none(changes: list[tuple[bytes, bytes]]) -> None:
    assert offered(request(*changes)) is None


def test_only_get_of_http11_can_switch() -> None:
    assert offered(request(method=b"POST")) is None
    assert offered(request(method=b"get")) is None
    assert offered(request(http10=True)) is None


ACCEPTED = [
    (b"Upgrade", b"websocket"),
    (b"Connection", b"Upgrade"),
    (b"Sec-WebSocket-Accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
]


def test_the_proof_is_that_of_the_rfc() -> None:
    assert accept_value(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3
    assert accepts_pairs(ACCEPTED, KEY)
    assert accepts_pairs([(name.upper(), value) for name, value in ACCEPTED], KEY)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (b"Upgrade", []),
        (b"Upgrade", [b"h2c"]),
        (b"Upgrade", [b"websocket", b"h2c"]),
        (b"Connection", []),
        (b"Connection", [b"keep-alive"]),
        (b"Connection", [b"upgraded"]),
        (b"Sec-WebSocket-Accept", []),
        (b"Sec-WebSocket-Accept", [b"S3pPLMBiTxaQ9kYGzzhZRbK+xOo="]),
        (b"Sec-WebSocket-Accept", [b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="] * 2),
    ],
)
def test_an_answer_that_proves_less_does_not_switch(name: bytes, values: list[bytes]) -> None:
    assert not accepts_pairs([line for line in ACCEPTED if line[0] != name] + [(name, value) for value in values], KEY)


def test_the_nomination_may_stand_among_others_and_on_lines_of_its_own() -> None:
    assert accepts_pairs([*ACCEPTED[::2], (b"Connection", b"keep-alive , UPGRADE")], KEY)
    assert accepts_pairs([(b"connection", b"x"), *ACCEPTED], KEY)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_no_answer_to_another_handshake_will_do(one: bytes, other: bytes) -> None:
    keys = base64.b64encode(one), base64.b64encode(other)
    answer = [*ACCEPTED[:2], (b"Sec-WebSocket-Accept", accept_value(keys[0]))]
    assert accepts_pairs(answer, keys[1]) is (one == other)

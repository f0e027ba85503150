"""Header rules between the two sides of the proxy: pure functions over fields."""

import re
from typing import Final

from prana.request import Request, Response
from prana.wire.fields import Field, Headers, Meaning
from prana.wire.timeouts import EXPECTED, ROUND_UP, timeout_value
from prana.wire.upgrade import SWITCH_LINES

# What a Connection header usually says, and what is no name of a header.
_CONNECTION_OPTIONS: Final = frozenset([b"close", b"keep-alive", b"upgrade", b"te"])
_CONNECTION, _DATE = Meaning.CONNECTION, Meaning.DATE
_REQUEST_ID: Final = re.compile(rb"[!-~]{1,128}")
_STATUS_PHRASES: Final = {
    200: b"OK", 400: b"Bad Request", 404: b"Not Found", 405: b"Method Not Allowed", 408: b"Request Timeout",
    413: b"Content Too Large", 414: b"URI Too Long", 417: b"Expectation Failed",
    431: b"Request Header Fields Too Large", 500: b"Internal Server Error", 501: b"Not Implemented",
    502: b"Bad Gateway", 503: b"Service Unavailable", 504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported", 508: b"Loop Detected",
}  # fmt: skip


def phrase(status: int) -> bytes:
    """The reason phrase of an answer Prana makes; empty where none is customary, as RFC 9112 section 4 allows."""
    return _STATUS_PHRASES.get(status, b"")


def valid_request_id(value: bytes) -> bool:
    return _REQUEST_ID.fullmatch(value) is not None


def request_head(request: Request, authority: bytes, left_s: float) -> bytes:
    """The head sent to an instance. `authority` is the instance's host and port; for `left_s` seconds its answer is
    waited for."""
    nominated = request.connection_tokens
    if nominated <= _CONNECTION_OPTIONS:
        lines = [field.line for field in request.headers if field.meaning is None]
    else:
        lines = [field.line for field in request.headers if field.meaning is None and field.lower not in nominated]
    if request.rewritten or request.http10:
        lines += _rewritten(request, authority, left_s)
    else:
        lines.append(
            b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: %b\r\nX-Forwarded-Port: %d\r\n"
            b"Via: 1.1 prana\r\n%b: %d"
            % (_caller(request), request.host or authority, request.proxy_port or 80, EXPECTED, left_s * 1e3 + ROUND_UP)
        )
    lines.append(b"X-Request-Id: " + request.request_id)
    if request.content_length is not None:
        lines.append(b"Content-Length: %d" % request.content_length)
    if request.body is not None:
        if request.content_length is None:
            lines.append(b"Transfer-Encoding: chunked")
        if request.body.awaits_continue:
            lines.append(b"Expect: 100-continue")
    if request.upgrade is not None:
        lines.append(SWITCH_LINES)
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b\r\n\r\n" % (
        request.method,
        request.path,
        authority,
        b"\r\n".join(lines),
    )


def _caller(request: Request) -> bytes:
    return request.caller_ip or b"127.0.0.1"  # none over a Unix socket


def _rewritten(request: Request, authority: bytes, left_s: float) -> list[bytes]:
    """The lines of our own that depend on what the caller or proxies before us wrote in such lines."""
    read: dict[bytes, list[bytes]] = {}
    for field in request.rewritten:
        read.setdefault(field.lower, []).append(field.value)
    # Our own app or a proxy it trusts wrote these; anybody else could write what he likes.
    forwarded = read if request.from_loopback else {}
    hop = b"1.0 prana" if request.http10 else b"1.1 prana"  # RFC 9110 section 7.6.3: the version received
    lines = [
        b"X-Forwarded-For: " + b", ".join([*forwarded.get(b"x-forwarded-for", ()), _caller(request)]),
        b"X-Forwarded-Proto: " + _first(forwarded, b"x-forwarded-proto", b"http"),
        b"X-Forwarded-Host: " + _first(forwarded, b"x-forwarded-host", request.host or authority),
        b"X-Forwarded-Port: " + _first(forwarded, b"x-forwarded-port", b"%d" % (request.proxy_port or 80)),
        b"Via: " + b", ".join([*read.get(b"via", ()), hop]),
        *(b"Forwarded: " + value for value in forwarded.get(b"forwarded", ())),
        b"%b: %d" % (EXPECTED, left_s * 1e3 + ROUND_UP),
        *_timeouts(request, left_s),
    ]
    asks_for_trailers = any(field.meaning is Meaning.TE and b"trailers" in field.members for field in request.rewritten)
    if asks_for_trailers and not request.http10:
        lines.append(b"TE: trailers\r\nConnection: TE")  # RFC 9110 section 10.1.4: TE must be nominated
    if request.max_forwards is not None:
        lines.append(b"Max-Forwards: %d" % (request.max_forwards - 1))
    else:
        lines += [b"Max-Forwards: " + value for value in read.get(b"max-forwards", ())]
    return lines


def _timeouts(request: Request, left_s: float) -> list[bytes]:
    """The caller's own, by what has passed of them, so that whoever obeys them counts as we do."""
    asked = {field.lower: field for field in request.rewritten if field.meaning is Meaning.TIMEOUT}
    return [
        field.name + b": " + timeout_value(field.lower, field.value, left_s)
        for field in asked.values()
        if field.lower not in request.connection_tokens
    ]


def _first(forwarded: dict[bytes, list[bytes]], name: bytes, default: bytes) -> bytes:
    """An earlier proxy saw the original value; we saw only that proxy."""
    values = forwarded.get(name)
    return values[0] if values else default


def response_head(response: Response, request_id: bytes, framing: bytes, now: bytes) -> bytes:
    """The head sent to the caller. `framing` is the finished framing lines, `now` the Date for answers without one."""
    headers = response.headers
    lines = [field.line for field in headers if field.meaning is None or field.meaning is _DATE]
    dated = False
    for field in headers:
        meaning = field.meaning
        if meaning is None:
            continue
        if meaning is _DATE:
            dated = True
        elif meaning is _CONNECTION and not field.members <= _CONNECTION_OPTIONS:
            lines = _without(nominated(headers), headers)
    if not dated:
        lines.append(b"Date: " + now)
    lines.append(b"X-Request-Id: " + request_id)
    return b"HTTP/1.1 %d %b\r\n%b%b\r\n\r\n" % (response.status, response.reason, b"\r\n".join(lines), framing)


def _without(names: frozenset[bytes], headers: Headers) -> list[bytes]:
    return [field.line for field in headers if _passes(field) and field.lower not in names]


def _passes(field: Field) -> bool:
    return field.meaning is None or field.meaning is _DATE


def nominated(headers: Headers) -> frozenset[bytes]:
    """Lower-case names that the Connection headers of a response take back, but for what the caller needs to read the
    message."""
    names = frozenset[bytes]().union(*(field.members for field in headers if field.meaning is _CONNECTION))
    return names - {b"content-length", b"content-type", b"content-encoding", b"set-cookie"}


def interim_head(status: int, reason: bytes, headers: Headers) -> bytes:
    """A 1xx head passed on to the caller (RFC 9110 section 15.2)."""
    lines = [b"HTTP/1.1 %d %b" % (status, reason), *_without(nominated(headers), headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"

"""Header rules between the two sides of the proxy: pure functions over lists of raw header lines."""

import re
from typing import Final

from prana.errors import BadRequest
from prana.request import Headers, Request, Response

# RFC 9110 section 7.6.1, with the older names that still travel. Trailer goes too: trailers are not forwarded.
HOP_BY_HOP: Final = frozenset(
    [
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    ]
)
_FORWARDED: Final = frozenset([b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"])
# Written by us towards the instance; Content-Length again with the framing.
_REWRITTEN: Final = _FORWARDED | {
    b"host",
    b"via",
    b"x-request-id",
    b"content-length",
    b"expect",
    b"x-prana-explain",
}
_NEVER_TO_INSTANCE: Final = HOP_BY_HOP | _REWRITTEN
_NEVER_TO_CALLER: Final = HOP_BY_HOP | {b"content-length", b"x-request-id"}
# Nominating one of these in Connection would make us strip what the instance relies on (CVE-2026-26365).
_NOT_NOMINABLE: Final = _FORWARDED | {b"host", b"content-length", b"transfer-encoding", b"authorization"}

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]{0,5})?")
_REQUEST_ID = re.compile(rb"[!-~]{1,128}")
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


def valid_host(value: bytes) -> bool:
    """RFC 9112 section 3.2: uri-host with an optional port, no userinfo, and not empty."""
    match = _HOST.fullmatch(value)
    return match is not None and bool(match[1])


def valid_request_id(value: bytes) -> bool:
    return _REQUEST_ID.fullmatch(value) is not None


def connection_tokens(value: bytes) -> frozenset[bytes]:
    """Lower-case tokens of a Connection header; raises BadRequest when it nominates what must survive."""
    tokens = frozenset(token for part in value.lower().split(b",") if (token := part.strip(b" \t")))
    if forbidden := tokens & _NOT_NOMINABLE:
        raise BadRequest(f"Connection must not name {min(forbidden).decode()}")
    return tokens


def request_head(request: Request, authority: bytes) -> bytes:
    """The head sent to an instance. `authority` is the instance's host and port."""
    lines = [request.method, b" ", request.path, b" HTTP/1.1\r\nHost: ", authority]
    dropped = _NEVER_TO_INSTANCE
    if request.connection_tokens:
        dropped |= request.connection_tokens
    via: list[bytes] = []
    forwarded: dict[bytes, list[bytes]] = {}
    for name, value in request.headers:
        lower = name.lower()
        if lower not in dropped:
            lines += (b"\r\n", name, b": ", value)
        elif lower == b"via":
            via.append(value)
        elif lower in _FORWARDED and request.from_loopback:
            # Our own app or a proxy it trusts wrote these; anybody else could write what he likes.
            forwarded.setdefault(lower, []).append(value)
    caller = request.caller_ip.encode() or b"127.0.0.1"
    lines += (b"\r\nX-Forwarded-For: ", b", ".join([*forwarded.get(b"x-forwarded-for", ()), caller]))
    lines += (b"\r\nX-Forwarded-Proto: ", _first(forwarded, b"x-forwarded-proto", b"http"))
    lines += (b"\r\nX-Forwarded-Host: ", _first(forwarded, b"x-forwarded-host", request.host or authority))
    lines += (b"\r\nX-Forwarded-Port: ", _first(forwarded, b"x-forwarded-port", b"%d" % (request.proxy_port or 80)))
    hop = b"1.0 prana" if request.http10 else b"1.1 prana"  # RFC 9110 section 7.6.3: the version received
    lines += (b"\r\nVia: ", b", ".join([*via, hop]), b"\r\nX-Request-Id: ", request.request_id)
    if request.content_length is not None:
        lines.append(b"\r\nContent-Length: %d" % request.content_length)
    elif request.body is not None:
        lines.append(b"\r\nTransfer-Encoding: chunked")
    lines.append(b"\r\n\r\n")
    return b"".join(lines)


def _first(forwarded: dict[bytes, list[bytes]], name: bytes, default: bytes) -> bytes:
    """An earlier proxy saw the original value; we saw only that proxy."""
    values = forwarded.get(name)
    return values[0] if values else default


def response_head(response: Response, request_id: bytes, framing: bytes, now: bytes) -> bytes:
    """The head sent to the caller. `framing` is the finished framing lines, `now` the Date for answers without one."""
    lines = [b"HTTP/1.1 %d " % response.status, response.reason]
    dropped = _NEVER_TO_CALLER
    dated = False
    for name, value in response.headers:
        lower = name.lower()
        if lower == b"connection":
            dropped |= _nominated(value)
        elif lower == b"date":
            dated = True
    for name, value in response.headers:
        if name.lower() not in dropped:
            lines += (b"\r\n", name, b": ", value)
    if not dated:
        lines += (b"\r\nDate: ", now)
    lines += (b"\r\nX-Request-Id: ", request_id, framing, b"\r\n\r\n")
    return b"".join(lines)


def _nominated(value: bytes) -> frozenset[bytes]:
    """What an instance nominates is dropped, but for what the caller needs to read the message."""
    tokens = frozenset(part.strip(b" \t") for part in value.lower().split(b","))
    return tokens - {b"content-length", b"content-type", b"content-encoding", b"set-cookie"}


def interim_head(status: int, reason: bytes, headers: Headers) -> bytes:
    """A 1xx head passed on to the caller (RFC 9110 section 15.2)."""
    lines = [b"HTTP/1.1 %d " % status, reason]
    for name, value in headers:
        if name.lower() not in _NEVER_TO_CALLER:
            lines += (b"\r\n", name, b": ", value)
    lines.append(b"\r\n\r\n")
    return b"".join(lines)


def header(headers: Headers, lower_name: bytes) -> bytes | None:
    """The first value of a header, by its lower-case name."""
    for name, value in headers:
        if name.lower() == lower_name:
            return value
    return None

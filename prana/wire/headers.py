"""Header rules between the two sides of the proxy: pure functions over lists of raw header lines."""

import ipaddress
import re
from typing import Final

from prana.errors import BadRequest
from prana.request import Headers, Request, Response
from prana.wire.upgrade import SWITCH_LINES

# RFC 9110 section 7.6.1, with the older names that still travel. Trailer is end-to-end, as trailers are.
HOP_BY_HOP: Final = frozenset(
    [
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    ]
)
_FORWARDED: Final = frozenset([b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"])
# Orders to us, and what only we may say.
_CONTROL: Final = frozenset(
    [b"x-prana-attempts", b"x-prana-explain", b"x-prana-fallback", b"x-prana-instance", b"x-prana-service"]
)
# Written by us towards the instance; Content-Length again with the framing.
_REWRITTEN: Final = (
    _FORWARDED | _CONTROL | {b"host", b"via", b"x-request-id", b"content-length", b"expect", b"max-forwards"}
)
_NEVER_TO_INSTANCE: Final = HOP_BY_HOP | _REWRITTEN
_NEVER_TO_CALLER: Final = HOP_BY_HOP | {b"content-length", b"x-request-id"}
# Nominating one of these in Connection would make us strip what the instance relies on (CVE-2026-26365).
_NOT_NOMINABLE: Final = _FORWARDED | {
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"authorization",
    b"via",
    b"max-forwards",
}
# What a caller wrote and we write anew.
_READ: Final = _FORWARDED | {b"via", b"te", b"max-forwards"}

_PORT = rb"(?::(?:[0-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])?)?"
_NAME = rb"[A-Za-z0-9._~!$&'()*+,;=-]"
_HOST = re.compile(rb"(?:%b|%%[0-9A-Fa-f]{2})+%b" % (_NAME, _PORT))
_IPV6_HOST = re.compile(rb"\[([0-9A-Fa-f:.]+)\]%b" % _PORT)
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
    return _HOST.fullmatch(value) is not None or _valid_ipv6_host(value)


def _valid_ipv6_host(value: bytes) -> bool:
    match = _IPV6_HOST.fullmatch(value)
    try:
        return match is not None and bool(ipaddress.IPv6Address(match[1].decode()))
    except ValueError:
        return False


def valid_request_id(value: bytes) -> bool:
    return _REQUEST_ID.fullmatch(value) is not None


def listed(value: bytes) -> frozenset[bytes]:
    """The lower-case members of a comma-separated list; empty ones are passed over (RFC 9110 section 5.6.1)."""
    return frozenset(member for part in value.lower().split(b",") if (member := part.strip(b" \t")))


def connection_tokens(value: bytes) -> frozenset[bytes]:
    """Lower-case tokens of a Connection header; raises BadRequest when it nominates what must survive."""
    tokens = listed(value)
    if forbidden := tokens & _NOT_NOMINABLE:
        raise BadRequest(f"Connection must not name {min(forbidden).decode()}")
    return tokens


def request_head(request: Request, authority: bytes) -> bytes:
    """The head sent to an instance. `authority` is the instance's host and port."""
    lines = [request.method, b" ", request.path, b" HTTP/1.1\r\nHost: ", authority]
    dropped = _NEVER_TO_INSTANCE
    if request.connection_tokens:
        dropped |= request.connection_tokens
        if request.upgrade is not None:
            lines.append(SWITCH_LINES)
    read: dict[bytes, list[bytes]] = {}
    for name, value in request.headers:
        lower = name.lower()
        if lower not in dropped:
            lines += (b"\r\n", name, b": ", value)
        elif lower in _READ:
            read.setdefault(lower, []).append(value)
    # Our own app or a proxy it trusts wrote these; anybody else could write what he likes.
    forwarded = read if request.from_loopback else {}
    caller = request.caller_ip.encode() or b"127.0.0.1"
    lines += (b"\r\nX-Forwarded-For: ", b", ".join([*forwarded.get(b"x-forwarded-for", ()), caller]))
    lines += (b"\r\nX-Forwarded-Proto: ", _first(forwarded, b"x-forwarded-proto", b"http"))
    lines += (b"\r\nX-Forwarded-Host: ", _first(forwarded, b"x-forwarded-host", request.host or authority))
    lines += (b"\r\nX-Forwarded-Port: ", _first(forwarded, b"x-forwarded-port", b"%d" % (request.proxy_port or 80)))
    hop = b"1.0 prana" if request.http10 else b"1.1 prana"  # RFC 9110 section 7.6.3: the version received
    lines += (b"\r\nVia: ", b", ".join([*read.get(b"via", ()), hop]), b"\r\nX-Request-Id: ", request.request_id)
    if read:
        lines += _passed_on(request, read)
    if request.content_length is not None:
        lines.append(b"\r\nContent-Length: %d" % request.content_length)
    elif request.body is not None:
        lines.append(b"\r\nTransfer-Encoding: chunked")
    if request.body is not None and request.body.awaits_continue:
        lines.append(b"\r\nExpect: 100-continue")
    lines.append(b"\r\n\r\n")
    return b"".join(lines)


def _passed_on(request: Request, read: dict[bytes, list[bytes]]) -> list[bytes]:
    """The lines of what only looks hop-by-hop, or counts hops."""
    lines = []
    if not request.http10 and any(b"trailers" in listed(value) for value in read.get(b"te", ())):
        lines.append(b"\r\nTE: trailers\r\nConnection: TE")  # RFC 9110 section 10.1.4: TE must be nominated
    if request.max_forwards is not None:
        lines.append(b"\r\nMax-Forwards: %d" % (request.max_forwards - 1))
    else:
        lines += [b"\r\nMax-Forwards: " + value for value in read.get(b"max-forwards", ())]
    return lines


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
            dropped |= _kept_back(value)
        elif lower == b"date":
            dated = True
    for name, value in response.headers:
        if name.lower() not in dropped:
            lines += (b"\r\n", name, b": ", value)
    if not dated:
        lines += (b"\r\nDate: ", now)
    lines += (b"\r\nX-Request-Id: ", request_id, framing, b"\r\n\r\n")
    return b"".join(lines)


def nominated(headers: Headers) -> frozenset[bytes]:
    """Lower-case names that the Connection headers of a response take back."""
    return frozenset[bytes]().union(*(_kept_back(value) for name, value in headers if name.lower() == b"connection"))


def _kept_back(connection: bytes) -> frozenset[bytes]:
    """What an instance nominates is dropped, but for what the caller needs to read the message."""
    return listed(connection) - {b"content-length", b"content-type", b"content-encoding", b"set-cookie"}


def interim_head(status: int, reason: bytes, headers: Headers) -> bytes:
    """A 1xx head passed on to the caller (RFC 9110 section 15.2)."""
    lines = [b"HTTP/1.1 %d " % status, reason]
    dropped = _NEVER_TO_CALLER | nominated(headers)
    for name, value in headers:
        if name.lower() not in dropped:
            lines += (b"\r\n", name, b": ", value)
    lines.append(b"\r\n\r\n")
    return b"".join(lines)


def header(headers: Headers, lower_name: bytes) -> bytes | None:
    """The first value of a header, by its lower-case name."""
    for name, value in headers:
        if name.lower() == lower_name:
            return value
    return None

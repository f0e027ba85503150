"""The trailer section of a chunked message: which of its fields travel on, and how a chunked body ends."""

from typing import Final

from prana.wire.fields import Headers, Meaning
from prana.wire.timeouts import EXPECTED, NAMES

LAST_CHUNK: Final = b"0\r\n\r\n"

# RFC 9110 section 6.5.1: fields that frame, route, authenticate, modify a request, control a response or describe
# its content must be known before the content; in a trailer they would be read by some and overlooked by others.
_FORBIDDEN: Final = frozenset(
    [
        # framing and hop-by-hop
        b"connection", b"content-length", b"keep-alive", b"proxy-connection", b"te", b"trailer",
        b"transfer-encoding", b"upgrade",
        # routing
        b"forwarded", b"host", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port",
        b"x-forwarded-proto", b"x-request-id",
        # request modifiers
        b"cache-control", b"expect", b"max-forwards", b"pragma", b"range", b"if-match", b"if-modified-since",
        b"if-none-match", b"if-range", b"if-unmodified-since", EXPECTED.lower(), *NAMES,
        # authentication
        b"authorization", b"cookie", b"proxy-authenticate", b"proxy-authorization", b"set-cookie",
        b"www-authenticate",
        # response control
        b"age", b"date", b"expires", b"location", b"retry-after", b"vary",
        # content
        b"content-encoding", b"content-range", b"content-type",
    ]
)  # fmt: skip
_OURS: Final = b"x-prana-"


def last_chunk(trailers: Headers, nominated: frozenset[bytes]) -> bytes:
    """The end of a chunked body, with those trailer fields that may travel on.

    `nominated` holds the lower-case names in the Connection header of the message; a Connection field among the
    trailers, forbidden itself, nominates too (RFC 9110 section 7.6.1).
    """
    if not trailers:
        return LAST_CHUNK
    dropped = _FORBIDDEN | nominated
    for field in trailers:
        if field.meaning is Meaning.CONNECTION:
            dropped |= field.members
    lines = [b"0"]
    for field in trailers:
        # CGI-style readers take an underscore for a dash.
        lower = field.lower.replace(b"_", b"-")
        if lower not in dropped and not lower.startswith(_OURS):
            lines.append(field.line)
    return b"\r\n".join(lines) + b"\r\n\r\n"

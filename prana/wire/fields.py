"""Header fields: what a line must look like, and what a field means to the proxy itself. Pure.

A line that was seen before is not looked at again: callers and instances send nearly the same lines with every message,
so `FieldLines` keeps its verdict on each, and a message costs one look-up a line.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final

from prana.wire.authority import valid_host
from prana.wire.head import refuse_controls
from prana.wire.timeouts import EXPECTED, NAMES, timeout_us


class Meaning(Enum):
    """What a field is to the proxy. A field without a meaning passes unchanged, in its place."""

    HOST = "host"
    CONNECTION = "connection"
    CONTENT_LENGTH = "content-length"
    TRANSFER_ENCODING = "transfer-encoding"
    HOP_BY_HOP = "hop by hop"
    TE = "te"
    EXPECT = "expect"
    VIA = "via"
    FORWARDED = "forwarded, x-forwarded-*"
    MAX_FORWARDS = "max-forwards"
    REQUEST_ID = "x-request-id"
    TIMEOUT = "x-request-timeout, grpc-timeout, x-envoy-upstream-rq-timeout-ms"
    CONTROL = "x-prana-*, and the like"  # an order to us, or what only we may say
    KEEP_ALIVE = "keep-alive"
    DATE = "date"


# RFC 9110 section 7.6.1, with the older names that still travel. Trailer is end-to-end, as trailers are.
_EITHER_WAY: Final = {
    b"connection": Meaning.CONNECTION,
    b"content-length": Meaning.CONTENT_LENGTH,
    b"transfer-encoding": Meaning.TRANSFER_ENCODING,
    b"keep-alive": Meaning.HOP_BY_HOP,
    b"proxy-authenticate": Meaning.HOP_BY_HOP,
    b"proxy-authorization": Meaning.HOP_BY_HOP,
    b"proxy-connection": Meaning.HOP_BY_HOP,
    b"te": Meaning.HOP_BY_HOP,
    b"upgrade": Meaning.HOP_BY_HOP,
    b"x-prana-attempts": Meaning.CONTROL,
    b"x-prana-explain": Meaning.CONTROL,
    b"x-prana-fallback": Meaning.CONTROL,
    b"x-prana-instance": Meaning.CONTROL,
    b"x-prana-service": Meaning.CONTROL,
    b"x-request-id": Meaning.REQUEST_ID,
}
IN_REQUESTS: Final[Mapping[bytes, Meaning]] = {
    **_EITHER_WAY,
    b"expect": Meaning.EXPECT,
    b"forwarded": Meaning.FORWARDED,
    b"host": Meaning.HOST,
    b"max-forwards": Meaning.MAX_FORWARDS,
    b"te": Meaning.TE,
    b"via": Meaning.VIA,
    b"x-forwarded-for": Meaning.FORWARDED,
    b"x-forwarded-host": Meaning.FORWARDED,
    b"x-forwarded-port": Meaning.FORWARDED,
    b"x-forwarded-proto": Meaning.FORWARDED,
    **dict.fromkeys(NAMES, Meaning.TIMEOUT),
    EXPECTED.lower(): Meaning.CONTROL,
}
IN_RESPONSES: Final[Mapping[bytes, Meaning]] = {
    **_EITHER_WAY,
    b"date": Meaning.DATE,
    b"keep-alive": Meaning.KEEP_ALIVE,
}

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NUMBER: Final = re.compile(rb"[0-9]{1,19}")  # below 2^64, in nobody's integers an overflow
_FRAMING: Final = (Meaning.CONTENT_LENGTH, Meaning.TRANSFER_ENCODING)

_NONE: Final = frozenset[bytes]()  # each new one would take 216 bytes
_KEPT_LINES: Final = 1024
_KEPT_LINE_BYTES: Final = 256
# Not to lie in memory longer than needed.
_SECRETS: Final = frozenset(
    [b"authorization", b"cookie", b"proxy-authorization", b"set-cookie", b"x-api-key", b"x-auth-token"]
)


class MalformedField(Exception):
    """A line that is no header field, or has a value that its name does not allow; the text says why."""


class Field:
    """One header.

    `meaning` None: it passes unchanged. `number` is that of a Content-Length, or the microseconds of a TIMEOUT;
    `members` are those of a Connection or TE list, in lower case.
    """

    __slots__ = ("line", "lower", "meaning", "members", "name", "number", "value")

    def __init__(self, name: bytes, value: bytes, meaning: Meaning | None = None) -> None:
        self.name = name
        self.lower = name.lower()
        self.value = value
        self.line = name + b": " + value  # as it is sent on
        self.meaning = meaning
        self.number = 0
        self.members = _NONE

    def __repr__(self) -> str:
        return f"Field({self.name!r}, {self.value!r})"


Headers = list[Field]


class FieldLines(dict[bytes, Field]):
    """Fields by their lines as received: `lines[line]` judges one not seen before, and raises MalformedField or
    MalformedHead.

    Bounded: it starts anew when full, and long lines are not kept.
    """

    def __init__(self, meanings: Mapping[bytes, Meaning]) -> None:
        super().__init__()
        self._meanings = meanings

    def __missing__(self, line: bytes) -> Field:
        # RFC 9110 section 5.5: visible characters and obs-text, with blanks only between them. Everything else is
        # refused: folded lines, blanks around the name, CR, LF and NUL anywhere.
        name, colon, value = line.partition(b":")
        if not colon or _NAME.fullmatch(name) is None or _CONTROL.search(value) is not None:
            refuse_controls(line)
            raise MalformedField(_explained(line))
        field = Field(name, value.strip(b" \t"))
        field.meaning = self._meanings.get(field.lower)
        if field.meaning is None and b"_" in name:
            field.meaning = self._lookalike(field)
        _interpret(field)
        if len(line) <= _KEPT_LINE_BYTES and field.lower not in _SECRETS:
            if len(self) >= _KEPT_LINES:
                self.clear()
            self[line] = field
        return field

    def _lookalike(self, field: Field) -> Meaning | None:
        """CGI-style gateways read an underscore as a dash: what we write or act on must not come in that disguise."""
        meaning = self._meanings.get(field.lower.replace(b"_", b"-"))
        if meaning in _FRAMING:
            raise MalformedField(f"header {field.name.decode()} looks like a framing header")
        return None if meaning is None else Meaning.CONTROL


def _interpret(field: Field) -> None:
    name, value = field.name, field.value
    match field.meaning:
        case Meaning.CONTENT_LENGTH:
            if _NUMBER.fullmatch(value) is None:
                raise MalformedField(f"{name.decode()} is not a number of at most 19 digits")
            field.number = int(value)
        case Meaning.CONNECTION | Meaning.TE:
            field.members = listed(value)
        case Meaning.HOST:
            if not valid_host(value):
                raise MalformedField("the Host header is not a host and port")
        case Meaning.TIMEOUT:
            field.number = timeout_us(field.lower, value)
            if not field.number:
                field.meaning = None  # it sets none, so it is the instance's affair
        case _:
            pass


def _explained(line: bytes) -> str:
    name, colon, _ = line.partition(b":")
    if line[:1] in (b" ", b"\t"):
        return "a folded header line"
    if not colon:
        return "a header line without a colon"
    if not name:
        return "a header line without a name"
    if name[-1:] in (b" ", b"\t"):
        return "a blank before the colon of a header line"
    if _NAME.fullmatch(name) is None:
        return "a header name with a character that is not allowed in one"
    return "a header value with a control character"


def listed(value: bytes) -> frozenset[bytes]:
    """The lower-case members of a comma-separated list; empty ones are passed over (RFC 9110 section 5.6.1)."""
    return frozenset(member for part in value.lower().split(b",") if (member := part.strip(b" \t")))

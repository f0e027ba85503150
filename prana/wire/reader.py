"""Bytes of a caller in, requests out: parsing and strict checking, no I/O.

Strictness is the policy: what two parsers could read differently is refused (http smuggling), and nothing is
repaired.
"""

import re
from collections.abc import Callable
from typing import Final

from prana.errors import BadRequest
from prana.request import Request
from prana.wire.body import BodyStream
from prana.wire.chunked import Chunked, MalformedChunk
from prana.wire.fields import Field, FieldLines, Headers, MalformedField, Meaning
from prana.wire.head import HEAD_END, HeadStart, HeadTooLarge, MalformedHead, check_extent, check_size
from prana.wire.limits import MAX_EMPTY_LINES, MAX_HEADERS, MAX_LINE_BYTES
from prana.wire.requestline import REFUSED_METHODS, check_target, may_become_request_line, request_line
from prana.wire.upgrade import offered

_HOST, _CONNECTION, _CONTENT_LENGTH = Meaning.HOST, Meaning.CONNECTION, Meaning.CONTENT_LENGTH
_SLASH: Final = ord("/")
_REWRITTEN: Final = frozenset([Meaning.FORWARDED, Meaning.VIA, Meaning.TE, Meaning.MAX_FORWARDS, Meaning.TIMEOUT])
_HOPS: Final = re.compile(rb"[0-9]{1,9}")
# Nominating one of these in Connection would make us strip what the instance relies on (CVE-2026-26365).
_NOT_NOMINABLE: Final = frozenset(
    [
        b"host", b"content-length", b"transfer-encoding", b"authorization", b"via", b"max-forwards",
        b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port",
    ]
)  # fmt: skip


class RequestReader:
    """Calls `on_request` once per request, when its head is complete; the body follows through `request.body`.

    A message that is no request becomes a request whose `malformed` says why; nothing is read after it
    (`finished`). `pause` and `resume` hold the producer while a body is not being consumed, `send_continue` runs
    when the consumer first waits for a body announced with `Expect: 100-continue`. Behind a handshake `hold` is called
    with the rest of what was fed, and the reader goes on with what it is fed next.
    """

    def __init__(
        self,
        lines: FieldLines,
        new_request: Callable[[bytes, bytes, Headers], Request],
        on_request: Callable[[Request], None],
        pause: Callable[[], None],
        resume: Callable[[], None],
        send_continue: Callable[[], None],
        is_own: Callable[[bytes], bool],
        hold: Callable[[bytes], None],
    ) -> None:
        """`is_own` tells whether an authority is one of ours."""
        self._lines = lines
        self._new_request = new_request
        self._on_request = on_request
        self._pause = pause
        self._resume = resume
        self._send_continue = send_continue
        self._is_own = is_own
        self._hold = hold
        self._start = HeadStart(request_line, may_become_request_line, lines)
        self._request: Request | None = None  # its head is complete, its body is not
        self._chunked: Chunked | None = None  # of that body, else `_left_bytes`
        self._left_bytes = 0
        self.enough = False  # for now: set by `on_request` when it wants no more, or after CHUNKS_PER_TURN
        self.finished = False  # no further message will be read
        self.in_head = False
        self._skipped_lines = 0  # empty ones before the head

    @property
    def in_body(self) -> bool:
        return self._request is not None

    @property
    def body(self) -> BodyStream | None:
        """The body that is arriving."""
        return self._request.body if self._request is not None else None

    def feed(self, data: bytes) -> bytes:
        """Never raises. Gives what it has not read because of `enough`; bytes after the last message are ignored."""
        try:
            while data and not self.finished:
                if self.enough:
                    return data
                data = self._read_head(data) if self._request is None else self._read_body(self._request, data)
        except BadRequest as error:
            self.refuse(error)
        return b""

    def refuse(self, error: BadRequest) -> None:
        """Read no further: a body in progress fails, anything else becomes a request that is `malformed`."""
        self.finished = True
        self.in_head = False
        request, self._request = self._request, None
        if request is None:
            request = self._new_request(b"", b"", [])
            request.malformed = error
            request.keep_alive = False
            self._on_request(request)
        elif request.body is not None:
            request.body.fail(error)

    # the head

    def _read_head(self, data: bytes) -> bytes:
        """Gives what follows it."""
        if self.in_head:
            data = self._start.bytes + data
        while data[:2] == b"\r\n" and self._skipped_lines < MAX_EMPTY_LINES:
            self._skipped_lines += 1  # RFC 9112 section 2.2: some send one behind a body
            data = data[2:]
        end = data.find(HEAD_END)
        if end < 0:
            self._wait_for_end(data)
            return b""
        if self.in_head:
            self.in_head = False
            self._start.clear()
        self._skipped_lines = 0
        request = self._parse(data[:end])
        rest = data[end + 4 :]
        if request.body is not None:
            self._request = request
        elif not request.keep_alive:
            self.finished = True
        self._on_request(request)
        if request.upgrade is not None:
            self._hold(rest)
            return b""
        return rest

    def _wait_for_end(self, data: bytes) -> None:
        """Keep the beginning of a head, and refuse at once what cannot become one."""
        self.in_head = bool(data)
        try:
            self._start.keep(data)
        except (MalformedField, MalformedHead, HeadTooLarge) as error:
            raise _refusal(error) from None

    def _parse(self, head: bytes) -> Request:
        """Raises BadRequest when not even the request line is one; other faults make the request `malformed`."""
        first, *lines = head.split(b"\r\n")
        try:
            method, target, http10 = request_line(first)
        except MalformedHead as malformed:
            raise _refusal(malformed) from None
        request = self._new_request(method, target, [])
        request.http10 = http10
        # RFC 9112 section 9.3: a proxy must not keep connections of HTTP/1.0 callers, whatever they ask for.
        request.keep_alive = not http10
        try:
            check_extent(len(head))
            request.headers = [self._lines[line] for line in lines]
            if len(head) > MAX_LINE_BYTES or len(lines) > MAX_HEADERS:
                check_size(len(head) - len(first), lines)
            self._interpret(request)
        except BadRequest as refusal:
            _mark(request, refusal)
        except (MalformedField, MalformedHead, HeadTooLarge) as error:
            _mark(request, _refusal(error))
        return request

    def _interpret(self, request: Request) -> None:  # noqa: C901 - one pass over the fields of every request, without calls
        hosts = 0
        length = coding = expect = None
        for field in request.headers:
            meaning = field.meaning
            if meaning is None:
                continue
            if meaning is _HOST:
                hosts += 1
                request.host = field.value
            elif meaning is _CONNECTION:
                request.connection_tokens |= field.members
            elif meaning is _CONTENT_LENGTH:
                if length is not None:
                    raise BadRequest("more than one Content-Length")
                length = field.number
            elif meaning is Meaning.TRANSFER_ENCODING:
                coding = field.value if coding is None else coding + b"," + field.value
            elif meaning is Meaning.EXPECT:
                expect = field.value if expect is None else expect + b"," + field.value
            else:
                _note(request, field)
        if request.target[0] != _SLASH or request.method in REFUSED_METHODS:
            check_target(request, self._is_own)
        if hosts != 1 and (hosts or not request.http10):
            raise BadRequest(f"one Host header is required, {hosts} were sent")
        if request.connection_tokens:
            _check_connection(request)
        if coding is not None or length is not None or expect is not None:
            self._frame(request, coding, length, expect)
        if request.body is None and b"upgrade" in request.connection_tokens:
            request.upgrade = offered(request)

    def _frame(self, request: Request, coding: bytes | None, length: int | None, expect: bytes | None) -> None:
        """RFC 9112 section 6.3: how the body is delimited, and whether it waits for 100 Continue."""
        if expect is not None and not request.http10 and expect.lower() != b"100-continue":
            raise BadRequest("the only expectation served is 100-continue", status=417)
        if coding is not None:
            _check_coding(request, coding, length)
            self._chunked = Chunked(self._lines)
        else:
            self._chunked = None
            self._left_bytes = length or 0
            request.content_length = length
        if coding is not None or length:
            on_demand = self._send_continue if expect is not None and not request.http10 else None
            request.body = BodyStream(self._pause, self._resume, on_demand)

    # the body

    def _read_body(self, request: Request, data: bytes) -> bytes:
        """Gives what follows it."""
        body, chunked = request.body, self._chunked
        assert body is not None  # noqa: S101 - only requests with a body come here
        if chunked is None:
            payload, rest = (data, b"") if len(data) <= self._left_bytes else _cut(data, self._left_bytes)
            self._left_bytes -= len(payload)
            ended = not self._left_bytes
        else:
            try:
                payload, rest = chunked.feed(data)
            except MalformedChunk as error:
                raise BadRequest(f"not a valid HTTP/1.1 request: {error}", status=error.status) from None
            ended = chunked.ended
        if payload:
            body.feed(payload)
        if ended:
            if chunked is not None:
                body.trailers = chunked.trailers
            self._request = None
            self.finished = not request.keep_alive
            body.end()
        elif rest:
            self.enough = True
        return rest


def _cut(data: bytes, at: int) -> tuple[bytes, bytes]:
    return data[:at], data[at:]


def _mark(request: Request, error: BadRequest) -> None:
    request.malformed = error
    request.keep_alive = False
    request.body = request.upgrade = None


def _refusal(error: MalformedField | MalformedHead | HeadTooLarge) -> BadRequest:
    if isinstance(error, HeadTooLarge):
        return BadRequest(str(error), status=414 if error.in_first_line else 431)
    return BadRequest(f"not a valid HTTP/1.1 request: {error}")


def _note(request: Request, field: Field) -> None:
    """What few requests have."""
    match field.meaning:
        case Meaning.REQUEST_ID:
            request.request_id = request.request_id or field.value
        case Meaning.VIA:
            request.via_count += field.value.count(b" prana")
        case Meaning.CONTROL if field.lower == b"x-prana-explain":
            request.explain = request.from_loopback and field.value == b"1"
        case Meaning.CONTROL if field.lower == b"x-prana-service":
            named = request.named_service
            request.named_service = field.value if named is None else named + b"," + field.value
        case Meaning.TIMEOUT:
            asked_s = field.number / 1e6
            request.asked_timeout_s = min(request.asked_timeout_s or asked_s, asked_s)
        case Meaning.MAX_FORWARDS if request.method == b"OPTIONS":
            if request.max_forwards is not None or _HOPS.fullmatch(field.value) is None:
                raise BadRequest("Max-Forwards is not a number")
            request.max_forwards = int(field.value)
        case _:
            pass
    if field.meaning in _REWRITTEN:
        request.rewritten = [*request.rewritten, field]


def _check_connection(request: Request) -> None:
    tokens = request.connection_tokens
    if forbidden := tokens & _NOT_NOMINABLE:
        raise BadRequest(f"Connection must not name {min(forbidden).decode()}")
    if b"close" in tokens:
        request.keep_alive = False


def _check_coding(request: Request, coding: bytes, length: int | None) -> None:
    if request.http10:
        raise BadRequest("Transfer-Encoding in an HTTP/1.0 request")  # RFC 9112 section 6.1: faulty framing
    if length is not None:
        raise BadRequest("both Content-Length and Transfer-Encoding")
    if coding.lower() == b"chunked":
        return
    *others, last = (each.strip(b" \t") for each in coding.lower().split(b","))
    if last != b"chunked" or b"chunked" in others:
        raise BadRequest("chunked must be the final transfer coding")  # RFC 9112 section 6.3
    raise BadRequest("the only transfer coding served is chunked", status=501)

"""Bytes of an instance in, its answer out: parsing and strict checking, no I/O."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prana.errors import UpstreamProtocolError
from prana.request import Response
from prana.wire.body import BodyStream
from prana.wire.chunked import Chunked, MalformedChunk
from prana.wire.fields import FieldLines, Headers, MalformedField, Meaning
from prana.wire.head import HEAD_END, HeadStart, HeadTooLarge, MalformedHead, check_extent, check_size, refuse_controls
from prana.wire.limits import MAX_HEADERS, MAX_INTERIM_RESPONSES, MAX_LINE_BYTES
from prana.wire.upgrade import SWITCHING_PROTOCOLS

# RFC 9112 section 4. Without a reason many leave out the blank before it, too.
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([\t -~\x80-\xff]*))?")
_BEGINNING: Final = b"HTTP/1."
_BODILESS: Final = frozenset([SWITCHING_PROTOCOLS, 204, 304])
_KEPT_STATUS_LINES: Final = 64
_CONTENT_LENGTH, _CONNECTION = Meaning.CONTENT_LENGTH, Meaning.CONNECTION


@dataclass(slots=True)
class StatusLine:
    status: int
    reason: bytes
    http10: bool


class StatusLines(dict[bytes, StatusLine]):
    """Status lines as received; like FieldLines, bounded, and raises MalformedHead for one that is none."""

    def __missing__(self, line: bytes) -> StatusLine:
        match = _STATUS_LINE.fullmatch(line)
        if match is None or len(line) > MAX_LINE_BYTES:
            refuse_controls(line)
            raise MalformedHead("not a valid status line")
        minor, status, reason = match.groups(b"")
        if len(self) >= _KEPT_STATUS_LINES:
            self.clear()
        parsed = self[line] = StatusLine(int(status), reason, minor == b"0")
        return parsed


class AnswerReader:
    """Reads one answer after another; `begin` starts the next.

    `on_interim` gets status, reason and headers of each 1xx. `on_response` gets the final answer once its head is
    complete; its body is bytes where all of it is there already, else a stream from `new_body`. A 101 is final. All
    errors are UpstreamProtocolError.
    """

    def __init__(
        self,
        lines: FieldLines,
        status_lines: StatusLines,
        on_interim: Callable[[int, bytes, Headers], None],
        on_response: Callable[[Response], None],
        new_body: Callable[[], BodyStream],
    ) -> None:
        self._lines = lines
        self._status_lines = status_lines
        self._on_interim = on_interim
        self._on_response = on_response
        self._new_body = new_body
        self._start = HeadStart(status_lines.__getitem__, _may_become_status_line, lines)
        self._in_head = False
        self._method = b""
        self._interims = 0
        self.body: BodyStream | None = None  # of the current answer, if it comes in pieces
        self._chunked: Chunked | None = None
        self._left_bytes: int | None = None  # None: until the connection is closed
        self.complete = True
        self.keep_alive = False  # the connection may serve another exchange, as far as the answer tells
        self.announced = b""  # the value of its Keep-Alive header
        # Of what was fed: what follows the answer once that is `complete`, else what is to be fed again.
        self.rest = b""

    def begin(self, method: bytes) -> None:
        self._method = method
        self._interims = 0
        self.body = self._chunked = None
        self._left_bytes = None
        self.complete = False
        self.keep_alive = False
        self.announced = self.rest = b""

    def feed(self, data: bytes) -> bool:
        """False when there is a `rest`: bytes that belong to no answer (RFC 9112 section 6.3: they never become one),
        or beyond CHUNKS_PER_TURN, which are to be fed again in a later turn of the loop."""
        while data and not self.complete:
            if self.body is None:
                data = self._read_head(data)
            else:
                data = self._read_body(self.body, data)
                break
        if data:
            self.rest = data
        return not data

    def end(self) -> bool:
        """The instance has closed; whether that was the regular end of the answer."""
        if self.complete or self.body is None or self._chunked is not None or self._left_bytes is not None:
            return self.complete
        self.complete = True
        self.body.end()
        return True

    # the head

    def _read_head(self, data: bytes) -> bytes:
        if self._in_head:
            data = self._start.bytes + data
        end = data.find(HEAD_END)
        try:
            if end < 0:
                self._in_head = True
                self._start.keep(data)
                return b""
            if self._in_head:
                self._in_head = False
                self._start.clear()
            check_extent(end)
            first, *lines = data[:end].split(b"\r\n")
            status_line = self._status_lines[first]
            headers = [self._lines[line] for line in lines]
            if end > MAX_LINE_BYTES or len(lines) > MAX_HEADERS:
                check_size(end - len(first), lines)
        except (MalformedField, MalformedHead, HeadTooLarge) as error:
            raise UpstreamProtocolError(f"not a valid HTTP/1.1 response: {error}", sent=True) from None
        rest = data[end + 4 :]
        if status_line.status < 200 and status_line.status != SWITCHING_PROTOCOLS:
            self._interims += 1
            if self._interims > MAX_INTERIM_RESPONSES:
                raise UpstreamProtocolError(f"more than {MAX_INTERIM_RESPONSES} interim responses", sent=True)
            self._on_interim(status_line.status, status_line.reason, headers)
            return rest
        return self._answer(status_line, headers, rest)

    def _answer(self, line: StatusLine, headers: Headers, rest: bytes) -> bytes:
        """RFC 9112 section 6.3: how the body is delimited. Gives what follows the answer, or its body so far."""
        length, coding = self._interpret(line, headers)
        response = Response(line.status, line.reason, headers, b"")
        response.content_length = length
        if self._method == b"HEAD" or line.status in _BODILESS:
            self.complete = True
        elif coding is None and length is not None and len(rest) >= length:
            self.complete = True
            response.body, rest = rest[:length], rest[length:]
        else:
            self._chunked = Chunked(self._lines) if coding is not None else None
            self._left_bytes = length
            self.keep_alive = self.keep_alive and (coding or length) is not None
            self.body = response.body = self._new_body()
        self._on_response(response)
        return rest

    def _interpret(self, line: StatusLine, headers: Headers) -> tuple[int | None, bytes | None]:
        """Content-Length and transfer coding."""
        length = coding = None
        tokens = frozenset[bytes]()
        for field in headers:
            meaning = field.meaning
            if meaning is None:
                continue
            if meaning is _CONTENT_LENGTH:
                if length is not None:
                    raise UpstreamProtocolError("more than one Content-Length", sent=True)
                length = field.number
            elif meaning is _CONNECTION:
                tokens |= field.members
            elif meaning is Meaning.TRANSFER_ENCODING:
                coding = field.value if coding is None else coding + b"," + field.value
            elif meaning is Meaning.KEEP_ALIVE:
                self.announced = field.value
        if coding is not None:
            _check_coding(coding, line, length)
        self.keep_alive = b"close" not in tokens and (not line.http10 or b"keep-alive" in tokens)
        return length, coding

    # the body

    def _read_body(self, body: BodyStream, data: bytes) -> bytes:
        rest = b""
        if self._chunked is not None:
            try:
                data, rest = self._chunked.feed(data)
            except MalformedChunk as error:
                raise UpstreamProtocolError(f"not a valid HTTP/1.1 response: {error}", sent=True) from None
            self.complete = self._chunked.ended
            body.trailers = self._chunked.trailers
        elif self._left_bytes is not None:
            if len(data) > self._left_bytes:
                data, rest = data[: self._left_bytes], data[self._left_bytes :]
            self._left_bytes -= len(data)
            self.complete = not self._left_bytes
        if data:
            body.feed(data)
        if self.complete:
            body.end()
        return rest


def _may_become_status_line(beginning: bytes) -> bool:
    return _BEGINNING.startswith(beginning[: len(_BEGINNING)])


def _check_coding(coding: bytes, line: StatusLine, length: int | None) -> None:
    if line.http10:
        raise UpstreamProtocolError("Transfer-Encoding in an HTTP/1.0 response", sent=True)
    if length is not None:
        raise UpstreamProtocolError("both Content-Length and Transfer-Encoding", sent=True)
    if coding.lower() != b"chunked":
        raise UpstreamProtocolError("unsupported transfer coding", sent=True)

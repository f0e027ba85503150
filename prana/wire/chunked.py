"""The chunked transfer coding (RFC 9112 section 7.1), decoded strictly. Pure: bytes in, bytes out."""

import re
from typing import Final

from prana.wire.fields import FieldLines, Headers, MalformedField, Meaning
from prana.wire.head import MalformedHead
from prana.wire.limits import CHUNK_OVERHEAD_BYTES, CHUNKS_PER_TURN, MAX_HEAD_BYTES, MAX_HEADERS, MAX_LINE_BYTES

# At most 16 digits, and nothing but well-formed extensions behind them. These are ignored, as section 7.1.1 asks for,
# but a control character or an open quote in one is where parsers have disagreed (CVE-2025-22871, -58056, 2026-2332).
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;%b(?:=(?:%b|%b))?)*" % (_TOKEN, _TOKEN, _QUOTED))
_SIZE_START: Final = re.compile(rb"[0-9A-Fa-f]{1,16}(?:;[\t -~\x80-\xff]*)?")

_FRAMING: Final = (Meaning.CONTENT_LENGTH, Meaning.TRANSFER_ENCODING)
_KEPT_SIZES: Final = 64
_LONG_LINE: Final = f"a chunk or trailer line longer than {MAX_LINE_BYTES} bytes"
_NO_SIZE: Final = "not a chunk size of 1 to 16 hexadecimal digits"


class MalformedChunk(Exception):
    """Not the chunked coding, or beyond its bounds; the text says why and `status` what a caller is told."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class Chunked:
    """One body. `feed` until `ended`; then `trailers` are complete."""

    __slots__ = (
        "_buffer",
        "_excess_bytes",
        "_in_trailer",
        "_left",
        "_lines",
        "_sizes",
        "_trailer_bytes",
        "ended",
        "trailers",
    )

    def __init__(self, lines: FieldLines) -> None:
        self._lines = lines
        self._sizes: dict[bytes, int] = {}  # of size lines as received, those without extensions
        self._buffer = b""  # the beginning of a line
        self._left = 0  # bytes of the chunk in progress and the line end after its data; 0: a size line is next
        self._in_trailer = False
        self._trailer_bytes = 0
        self._excess_bytes = 0
        self.ended = False
        self.trailers: Headers = []

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The payload in `data`, and what is left of that: what follows the body once it has `ended`, before that what
        is beyond CHUNKS_PER_TURN, to be fed again in a later turn of the loop. Raises MalformedChunk."""
        payload: list[bytes] = []
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        at, end, lines_left = 0, len(data), CHUNKS_PER_TURN
        while at < end and not self.ended:
            if self._left > 2:
                piece = data[at : at + self._left - 2]
                payload.append(piece)
                at += len(piece)
                self._left -= len(piece)
            elif self._left:
                at = self._line_end(data, at)
            elif not lines_left:
                break
            else:
                line_end = data.find(b"\r\n", at)
                if line_end < 0:
                    self._keep(data[at:])
                    at = end
                    break
                self._line(data[at:line_end])
                at = line_end + 2
                lines_left -= 1
        if len(payload) == 1:
            return payload[0], data[at:]
        return b"".join(payload), data[at:]

    def _line_end(self, data: bytes, at: int) -> int:
        """Behind the data of a chunk; gives what follows it."""
        if self._left == 2 and data.startswith(b"\r\n", at):
            self._left = 0
            return at + 2
        found = data[at : at + self._left]
        if not b"\r\n"[2 - self._left :].startswith(found):
            raise MalformedChunk("chunk data longer than its size")
        self._left -= len(found)
        return at + len(found)

    def _keep(self, start: bytes) -> None:
        """The beginning of a line whose end is still to come, refused at once if it can be none."""
        if len(start) > MAX_LINE_BYTES:
            raise MalformedChunk(_LONG_LINE, status=431)
        if b"\n" in start or b"\r" in start[:-1]:
            raise MalformedChunk("a bare CR or LF in the chunked coding")
        if not self._in_trailer and _SIZE_START.fullmatch(start.removesuffix(b"\r")) is None:
            raise MalformedChunk(_NO_SIZE)
        self._buffer = start

    def _line(self, line: bytes) -> None:
        if len(line) > MAX_LINE_BYTES:
            raise MalformedChunk(_LONG_LINE, status=431)
        if self._in_trailer:
            self._trailer(line)
            return
        size = self._sizes.get(line)
        if size is None:
            size = self._size(line)
        # Go's rule (net/http/internal/chunked.go): what is more than a bit and twice the data must not add up.
        excess_bytes = self._excess_bytes + len(line) + 4 - CHUNK_OVERHEAD_BYTES - 2 * size
        self._excess_bytes = excess_bytes if excess_bytes > 0 else 0
        if excess_bytes > MAX_HEAD_BYTES:
            raise MalformedChunk("much more chunk framing than data", status=431)
        if size:
            self._left = size + 2
        else:
            self._in_trailer = True

    def _size(self, line: bytes) -> int:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise MalformedChunk(_NO_SIZE)
        size = int(match[1], 16)
        if len(match[1]) == len(line) and len(self._sizes) < _KEPT_SIZES:
            self._sizes[line] = size
        return size

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.ended = True
            return
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > MAX_HEAD_BYTES or len(self.trailers) >= MAX_HEADERS:
            raise MalformedChunk(f"a trailer of more than {MAX_HEADERS} lines or {MAX_HEAD_BYTES} bytes", status=431)
        try:
            field = self._lines[line]
        except (MalformedField, MalformedHead) as error:
            raise MalformedChunk(f"{error} in the trailer") from None
        if field.meaning in _FRAMING:
            raise MalformedChunk(f"{field.name.decode()} in the trailer")
        self.trailers.append(field)

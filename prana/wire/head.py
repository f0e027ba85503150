"""Where the head of a message ends, and what may be said of one whose end has not come. Pure."""

from collections.abc import Callable, Mapping
from typing import Final

from prana.wire.limits import MAX_HEAD_BYTES, MAX_HEADERS, MAX_LINE_BYTES

HEAD_END: Final = b"\r\n\r\n"


class HeadTooLarge(Exception):
    """The text says which bound; `in_first_line` that it was the request or status line."""

    def __init__(self, text: str, *, in_first_line: bool) -> None:
        super().__init__(text)
        self.in_first_line = in_first_line


class MalformedHead(Exception):
    """Not the beginning of a head; the text says why."""


class HeadStart:
    """A head on its way, judged line by line, so that a wrong one is refused at once and not only when the sender is
    done or its time is over."""

    __slots__ = ("_first", "_judged", "_lines", "_may_become_first", "bytes")

    def __init__(
        self,
        first: Callable[[bytes], object],
        may_become_first: Callable[[bytes], bool],
        lines: Mapping[bytes, object],
    ) -> None:
        """`first` raises for what is no first line, looking up in `lines` for what is no other; `may_become_first`
        tells whether more bytes could make a first line of some."""
        self._first = first
        self._may_become_first = may_become_first
        self._lines = lines
        self.bytes = b""
        self._judged = 0  # of `bytes`: complete lines

    def keep(self, data: bytes) -> None:
        """`data` is all of the head so far. Raises what `first` and `lines` do, MalformedHead and HeadTooLarge."""
        in_first_line = self._judged == 0
        *complete, last = data[self._judged :].split(b"\r\n")
        self.bytes, self._judged = data, len(data) - len(last)
        for line in complete:
            if in_first_line:
                self._first(line)
                in_first_line = False
            else:
                self._lines[line]
        beginning = last.removesuffix(b"\r")
        if in_first_line and not self._may_become_first(beginning):
            self._first(beginning)
        refuse_controls(beginning)
        if len(last) > MAX_LINE_BYTES:
            raise HeadTooLarge(f"a line of more than {MAX_LINE_BYTES} bytes", in_first_line=in_first_line)
        check_extent(len(data))

    def clear(self) -> None:
        self.bytes, self._judged = b"", 0


def check_extent(size_bytes: int) -> None:
    """Before its lines are looked at: those of a head of this size, its first line included, are too many to look at.
    Raises HeadTooLarge."""
    if size_bytes > MAX_LINE_BYTES + MAX_HEAD_BYTES:
        raise too_large()


def check_size(size_bytes: int, lines: list[bytes]) -> None:
    """`size_bytes` is that of the header lines together. Raises HeadTooLarge."""
    if size_bytes > MAX_HEAD_BYTES or len(lines) > MAX_HEADERS or max(map(len, lines), default=0) > MAX_LINE_BYTES:
        raise too_large()


def refuse_controls(line: bytes) -> None:
    """What tells parsers apart like nothing else. Raises MalformedHead."""
    if b"\r" in line or b"\n" in line or b"\0" in line:
        raise MalformedHead("a bare CR or LF, or a NUL")


def too_large() -> HeadTooLarge:
    limits = f"{MAX_HEADERS} header lines, {MAX_LINE_BYTES} bytes in one or {MAX_HEAD_BYTES} in all"
    return HeadTooLarge(f"more than {limits}", in_first_line=False)

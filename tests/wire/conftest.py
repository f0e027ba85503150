"""What stands in for a socket."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from prana.wire.alarm import Alarm
from prana.wire.answer import StatusLines
from prana.wire.fields import IN_RESPONSES, Field, FieldLines, Headers, Meaning
from prana.wire.upstream import UpstreamConnection


class Clock:
    """Monotonic seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class FakeTransport(asyncio.Transport):
    """Keeps what is written; like uvloop's, it refuses to write once it is closing."""

    def __init__(self, **extra: Any) -> None:
        super().__init__(extra)
        self.written = b""
        self.reading = True
        self.eof = False
        self.closing = ""
        self.buffered_bytes = 0
        self.taken_bytes = 0  # by the other side between two looks at the buffer
        self.looks = 0

    def write(self, data: Any) -> None:
        if self.closing:
            raise RuntimeError("the handler is closed")
        self.written += data

    def get_write_buffer_size(self) -> int:
        self.looks += 1
        self.buffered_bytes = max(0, self.buffered_bytes - self.taken_bytes)
        return self.buffered_bytes

    def write_eof(self) -> None:
        self.eof = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return bool(self.closing)

    def close(self) -> None:
        self.closing = self.closing or "close"

    def abort(self) -> None:
        self.closing = "abort"


async def settle() -> None:
    """Let every task run until it waits for something from outside."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


class FakeHome:
    """The pool of one connection: keeps what it reported."""

    def __init__(self) -> None:
        self.lines = FieldLines(IN_RESPONSES)
        self.status_lines = StatusLines()
        self.timeouts: Alarm[UpstreamConnection] = Alarm(time.monotonic, UpstreamConnection.expire)
        self.reusable: list[bool] = []
        self.losses = 0

    def done(self, connection: UpstreamConnection, reusable: bool) -> None:
        self.reusable.append(reusable)

    def lost(self, connection: UpstreamConnection) -> None:
        self.losses += 1


Pair = tuple[bytes, bytes]


def fields(pairs: Iterable[Pair], meanings: Mapping[bytes, Meaning] = IN_RESPONSES) -> Headers:
    """As they are read from a message; those of a request have other meanings."""
    known = FieldLines(meanings)
    return [known[b"%b: %b" % pair] for pair in pairs]


def pairs(headers: Iterable[Field]) -> list[Pair]:
    return [(field.name, field.value) for field in headers]

"""What stands in for a socket."""

import asyncio
from typing import Any

import pytest


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

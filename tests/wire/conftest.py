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

    def write(self, data: Any) -> None:
        if self.closing:
            raise RuntimeError("the handler is closed")
        self.written += data

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

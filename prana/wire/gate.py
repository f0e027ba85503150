"""Holds a writer up while the other side does not read."""

import asyncio

from prana.wire.patience import told


class WriteGate:
    """`close` and `open` are the protocol's `pause_writing` and `resume_writing`; one task at a time passes."""

    __slots__ = ("_waiter", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._waiter: asyncio.Future[None] | None = None

    def close(self) -> None:
        self.closed = True

    def open(self) -> None:
        self.closed = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def passed(self, timeout_s: float) -> None:
        """Returns at once while open. Raises TimeoutError when it stays closed for `timeout_s`."""
        if self.closed:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await told(self._waiter, timeout_s)
            finally:
                self._waiter = None

"""Holds a writer up while the other side does not read."""

import asyncio


class WriteGate:
    """`close` and `open` are the protocol's `pause_writing` and `resume_writing`; one task at a time passes."""

    __slots__ = ("_opened",)

    def __init__(self) -> None:
        self._opened: asyncio.Future[None] | None = None  # None: open

    @property
    def closed(self) -> bool:
        return self._opened is not None

    def close(self) -> None:
        self._opened = asyncio.get_running_loop().create_future()

    def open(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None and not opened.done():
            opened.set_result(None)

    async def passed(self, timeout_s: float) -> None:
        """Returns at once while open. Raises TimeoutError when it stays closed for `timeout_s`."""
        if self._opened is not None:
            await asyncio.wait_for(asyncio.shield(self._opened), timeout_s)

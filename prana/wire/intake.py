"""The reading side of a connection that several may hold up at once."""

import asyncio


class Intake:
    """Reads while nobody holds it up: every `pause` needs its `resume`."""

    __slots__ = ("_pauses", "transport")

    def __init__(self) -> None:
        self._pauses = 0
        self.transport: asyncio.Transport = None  # type: ignore[assignment] # set when the connection is made

    @property
    def paused(self) -> bool:
        return self._pauses > 0

    def pause(self) -> None:
        self._pauses += 1
        if self._pauses == 1 and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        self._pauses -= 1
        if self._pauses == 0 and not self.transport.is_closing():
            self.transport.resume_reading()

    def resume_for_good(self) -> None:
        """Whoever held it up has no say any more."""
        while self._pauses:
            self.resume()

"""What the process does on a signal."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

_log = structlog.get_logger()


class Stop:
    """SIGTERM stops after the drain delay, SIGINT at once, and a second one does not wait for anything.

    SIGHUP would end the process if nobody listened; reloading is not available yet, so it is only acknowledged.
    """

    def __init__(self, drain_delay_s: float) -> None:
        self.requested = asyncio.Event()
        self.drain_delay_s = drain_delay_s
        self._asked = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        loop.add_signal_handler(signal.SIGTERM, self._stop, signal.SIGTERM)
        loop.add_signal_handler(signal.SIGINT, self._stop, signal.SIGINT)
        loop.add_signal_handler(signal.SIGHUP, _log.warning, "reload is not available yet; restart to apply changes")
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    def _stop(self, number: signal.Signals) -> None:
        if self._asked:
            os._exit(128 + number)  # asked twice: nothing may hold it up
        self._asked = True
        if number is signal.SIGINT:
            self.drain_delay_s = 0.0
        self.requested.set()

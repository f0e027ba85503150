"""Is the app beside us healthy? Asked again and again, answered with some hysteresis."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from registry.healthstate import HealthState, Verdict

_log = structlog.get_logger()

_IMPATIENT_S = 1.0  # between probes until the app is first healthy


class Probe(Protocol):
    async def check(self) -> Verdict:
        """One attempt, cancelled when it takes too long. Does not raise for what may be wrong with the app."""
        ...


class HealthCheck:
    """Probes for ever and calls `on_change()` when `state.up` has changed. `name` is that of the app, for the log.

    Every `interval_s`, but at once at start and then at least every second until the app is first up. The interval
    counts from the end of a probe, and a probe ends after `timeout_s` as a failure, so that no two overlap.
    """

    def __init__(
        self,
        name: str,
        probe: Probe,
        state: HealthState,
        *,
        interval_s: float,
        timeout_s: float,
        on_change: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.state = state
        self._name = name
        self._probe = probe
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._on_change = on_change
        self._sleep = sleep

    async def run(self) -> None:
        while True:
            if self.state.observe(await self._verdict()):
                self._log_change()
                self._on_change()
            patience_s = min(self._interval_s, _IMPATIENT_S) if self.state.up is None else self._interval_s
            await self._sleep(patience_s)

    async def _verdict(self) -> Verdict:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._probe.check()
        except TimeoutError:
            return Verdict(False, f"timed out after {self._timeout_s:g} s")

    def _log_change(self) -> None:
        if self.state.up:
            _log.info("app up", app=self._name, reason=self.state.reason)
        else:
            _log.warning("app down", app=self._name, reason=self.state.reason)

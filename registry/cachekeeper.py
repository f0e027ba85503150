"""Keeps the cache file: reads it when no server answers at start, and writes it when the registry changes."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog

from registry.cachefile import CacheFile, CacheUnusable
from registry.discovery import Discovery
from registry.snapshot import Refusal, Snapshot

_log = structlog.get_logger()

_PATIENCE_S = 2.0  # for the first read, before callers are rather served from the file
_EVERY_S = 30.0  # at most one write in this time
_CONFIRM_EVERY_S = 300.0  # a registry that does not change is written again, for the age that stands in the file
_PIECE_PAUSE_S = 0.0001  # of the writing thread between two instances, so that the loop never waits for it


class CacheKeeper:
    """`epoch_s` is the wall clock, which is the one that goes on between two processes."""

    def __init__(
        self,
        file: CacheFile,
        discovery: Discovery,
        refusal: Refusal,
        *,
        epoch_s: Callable[[], float],
        patience_s: float = _PATIENCE_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._file = file
        self._discovery = discovery
        self._refusal = refusal
        self._epoch_s = epoch_s
        self._patience_s = patience_s
        self._sleep = sleep
        self._problem = ""
        self._changed = asyncio.Event()
        discovery.subscribe(lambda _: self._changed.set())

    async def run(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                await self._discovery.first_attempt.wait()
        if not self._discovery.first_read.is_set():
            await self.restore()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CONFIRM_EVERY_S):
                    await self._changed.wait()
            self._changed.clear()
            await self.save()
            await self._sleep(_EVERY_S)

    async def restore(self) -> None:
        try:
            cached = await asyncio.to_thread(self._file.read)
        except CacheUnusable as error:
            _log.warning("cache file not used", file=str(self._file.path), reason=str(error))
            return
        if cached is not None:
            age_s = max(0.0, self._epoch_s() - cached.read_epoch_s)
            self._discovery.restore(Snapshot.of(cached.instances, self._refusal), age_s)

    async def save(self) -> None:
        """Write what is known, if a server confirmed it. An empty registry is not worth losing a full one for."""
        snapshot, age_s = self._discovery.snapshot, self._discovery.age_s
        if self._discovery.restored or age_s is None or not snapshot.instances:
            return
        try:
            await asyncio.to_thread(
                self._file.write, snapshot, self._epoch_s() - age_s, lambda: time.sleep(_PIECE_PAUSE_S)
            )
        except CacheUnusable as error:
            if str(error) != self._problem:
                self._problem = str(error)
                _log.warning("cache file not written", file=str(self._file.path), reason=self._problem)
        else:
            if self._problem:
                self._problem = ""
                _log.info("cache file written again", file=str(self._file.path))

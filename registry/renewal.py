"""Keeps the app registered with Eureka, with its true status, until it is closed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import Protocol

import structlog

from registry.backoff import Backoff
from registry.codec import GarbledRegistry, Stored
from registry.instance import Status
from registry.outage import Outage
from registry.registration import Registration
from registry.transport import EurekaUnavailable

_log = structlog.get_logger()

_FIRST_RETRY_S = 1.0
_JITTER_RATIO = 0.1  # only downwards: a heartbeat is never later than its interval
_SETTLE_S = 1.0
_FAREWELL_S = 3.0
_REPORTABLE = frozenset({Status.STARTING, Status.UP, Status.DOWN})

# Metadata of an app whose override is our own drain. A sidecar that is killed while it drains leaves the override
# behind, and the server then hides every later status of the app; without this mark its successor could not tell
# that override from an operator's, which it must not touch.
_DRAIN_MARK = ("pranaDraining", "true")


class Writes(Protocol):
    """What a Registrar tells Eureka; see `registry.writes.EurekaWrites`."""

    async def stored(self, registration: Registration) -> Stored | None: ...
    async def register(self, registration: Registration, status: Status, dirty_ms: int) -> None: ...
    async def heartbeat(self, registration: Registration, status: Status, dirty_ms: int) -> bool: ...
    async def cancel(self, registration: Registration) -> bool: ...
    async def override_status(self, registration: Registration, status: Status, dirty_ms: int) -> bool: ...
    async def remove_override(self, registration: Registration, dirty_ms: int) -> bool: ...


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()


class Registrar:
    """One registration and its lease. `run` holds it, `close` ends it; in between, `set_status` may change it.

    Registers again only when the server says 404: registering after any other failure would make an ill
    server iller and, with a stale status, would be wrong (Netflix/eureka#1249).
    """

    def __init__(
        self,
        registration: Registration,
        writes: Writes,
        *,
        clock: Callable[[], float],
        epoch_ms: Callable[[], int],
        rng: Random,
        wait: Callable[[asyncio.Event, float], Awaitable[None]] = _wait,
        settle_s: float = _SETTLE_S,
        farewell_s: float = _FAREWELL_S,
    ) -> None:
        """`settle_s`: how long `close` lets a write in flight finish; `farewell_s`: how long it tries to say so."""
        self.registration = registration
        self.status = Status.STARTING
        self.last_heartbeat_epoch_s: float | None = None  # when a server last confirmed the lease
        self.heartbeats_total = 0  # accepted
        self.heartbeat_failures_total = 0  # heartbeats and registrations that no server took
        self.registrations_total = 0  # accepted
        self._writes = writes
        self._clock = clock
        self._epoch_ms = epoch_ms
        self._rng = rng
        self._wait = wait
        self._settle_s = settle_s
        self._farewell_s = farewell_s
        self._backoff = Backoff(_FIRST_RETRY_S, registration.renewal_interval_s, rng)
        self._outage = Outage("registration", clock)
        self._lock = asyncio.Lock()  # around every write
        self._wake = asyncio.Event()
        self._in_flight: asyncio.Timeout | None = None
        self._dirty_ms = epoch_ms()
        self._past_known = False  # whether what an earlier life left at the server has been read
        self._leftover_override = False  # of our own drain, still to be removed
        self._registered_ms: int | None = None  # the _dirty_ms of what the server has, None if it has nothing
        self._maybe_listed = False  # a registration was sent; it may have arrived even if no answer did
        self._draining = False
        self._closed = False

    @property
    def registered(self) -> bool:
        """As far as we know: stays true while no server answers."""
        return self._registered_ms is not None

    @property
    def problem(self) -> str:
        """Why the last write failed; "" when it worked."""
        return self._outage.problem

    def set_status(self, status: Status) -> None:
        """Tell Eureka at once. Raises ValueError for OUT_OF_SERVICE and UNKNOWN.

        An instance that reports OUT_OF_SERVICE itself is stuck in it, because the server keeps that status
        over a later UP (Netflix/eureka#1398): that is what `drain` is for.
        """
        if status not in _REPORTABLE:
            raise ValueError(f"an instance cannot report {status}; allowed: STARTING, UP, DOWN")
        if status is not self.status:
            self.status = status
            self._touch()
            self._wake.set()

    async def run(self) -> None:
        """Registers, then sends heartbeats; returns after `close`."""
        while not self._closed:
            await self._wait(self._wake, await self.renew())

    async def renew(self) -> float:
        """Send what is due, a registration or a heartbeat; returns the seconds until the next is due."""
        started_s = self._clock()
        self._wake.clear()
        try:
            async with self._turn():
                if not self._closed:
                    await self._send_due()
        except EurekaUnavailable as error:
            self.heartbeat_failures_total += 1
            self._outage.failed(error.detail)
            return self._backoff.next_s()
        except TimeoutError:  # close() did not want to wait any longer
            return 0.0
        self._backoff.reset()
        self._outage.ended()
        interval_s = self.registration.renewal_interval_s * (1.0 - _JITTER_RATIO * self._rng.random())
        return max(0.0, started_s + interval_s - self._clock())

    async def drain(self) -> None:
        """Ask Eureka to show OUT_OF_SERVICE from now until `close`. Best effort, within `farewell_s`."""
        self._draining = True
        try:
            async with asyncio.timeout(self._farewell_s), self._turn():
                if self.registered and not self._closed:
                    self._touch()
                    await self._register()
        except (EurekaUnavailable, TimeoutError) as error:
            _log.warning("drain not announced", reason=str(error) or "timed out")

    async def close(self, *, leave_lease: bool = False) -> None:
        """Deregister; nothing is sent afterwards. Best effort, within `settle_s` and `farewell_s`. Idempotent.

        `leave_lease`: do not, for another process goes on with the same registration.

        Call it while `run` is still running, so that a registration in flight can finish: one that the server
        handled after our DELETE would leave a ghost until its lease expires (Netflix/eureka#98).
        """
        self._closed = True
        self._wake.set()
        await self._take_over_lock()
        try:
            listed, self._maybe_listed = self._maybe_listed, False
            if listed and not leave_lease:
                await self._deregister()
        finally:
            self._lock.release()

    async def _send_due(self) -> None:
        if not self._past_known and self._registered_ms is None:
            await self._learn_the_past()
        if self._leftover_override:
            await self._remove_leftover()
        if self._registered_ms == self._dirty_ms:
            if await self._writes.heartbeat(self.registration, self.status, self._dirty_ms):
                self.heartbeats_total += 1
                self._confirmed()
                return
            self._registered_ms = None
            self._touch()
            _log.warning("registration lost", **self._identity())
        await self._register()

    async def _register(self) -> None:
        status, dirty_ms = self.status, self._dirty_ms  # set_status may change them meanwhile
        self._maybe_listed = True
        await self._writes.register(self._as_registered(), status, dirty_ms)
        self._registered_ms = dirty_ms
        self.registrations_total += 1
        self._confirmed()
        _log.info("registered", **self._identity(), status=status.value)
        if self._draining:  # the server that forgot us forgot the override too
            await self._override()

    async def _learn_the_past(self) -> None:
        """Start behind what an earlier life of ours registered, whatever the wall clock says now.

        A server keeps the instance with the newer timestamp, so after a step back of the clock it would ignore us
        (AbstractInstanceRegistry.register). Not being able to read this does not keep us from registering.
        """
        try:
            stored = await self._writes.stored(self.registration)
        except (EurekaUnavailable, GarbledRegistry) as error:
            _log.debug("earlier registration not read", reason=str(error), **self._identity())
            return
        if stored is not None:
            self._dirty_ms = max(self._dirty_ms, stored.dirty_ms + 1)
            if stored.override is not Status.UNKNOWN:
                self._judge_override(stored)
        self._past_known = True

    async def _remove_leftover(self) -> None:
        """What a server refuses here must not keep a healthy app unregistered: it is asked again next time."""
        try:
            await self._writes.remove_override(self.registration, self._dirty_ms)
        except EurekaUnavailable as error:
            _log.warning("override of a drain that was cut short not removed", reason=error.detail, **self._identity())
            return
        self._leftover_override = False
        _log.info("removed the override of a drain that was cut short", **self._identity())

    def _judge_override(self, stored: Stored) -> None:
        mark, value = _DRAIN_MARK
        if stored.metadata.get(mark) == value:
            self._leftover_override = True
        else:
            override = stored.override.value
            _log.warning("an operator's override hides the app's true status", override=override, **self._identity())

    def _as_registered(self) -> Registration:
        if not self._draining:
            return self.registration
        return replace(self.registration, metadata=dict([*self.registration.metadata.items(), _DRAIN_MARK]))

    async def _override(self) -> None:
        await self._writes.override_status(self.registration, Status.OUT_OF_SERVICE, self._dirty_ms)

    async def _deregister(self) -> None:
        self._registered_ms = None
        try:
            async with asyncio.timeout(self._farewell_s):
                known = await self._writes.cancel(self.registration)
        except (EurekaUnavailable, TimeoutError) as error:
            _log.warning("not deregistered, the lease will expire", reason=str(error) or "timed out")
        else:
            _log.info("deregistered" if known else "was not registered any more", **self._identity())

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The right to write. `close` can end it early, the block then raises TimeoutError."""
        async with self._lock:
            try:
                async with asyncio.timeout(None) as self._in_flight:
                    yield
            finally:
                self._in_flight = None

    async def _take_over_lock(self) -> None:
        try:
            async with asyncio.timeout(self._settle_s):
                await self._lock.acquire()
        except TimeoutError:
            if self._in_flight is not None:
                self._in_flight.reschedule(asyncio.get_running_loop().time())
            await self._lock.acquire()

    def _touch(self) -> None:
        # Strictly increasing even if the wall clock steps back: a server keeps what has the newer timestamp.
        self._dirty_ms = max(self._epoch_ms(), self._dirty_ms + 1)

    def _confirmed(self) -> None:
        self.last_heartbeat_epoch_s = self._epoch_ms() / 1000

    def _identity(self) -> dict[str, str]:
        return {"app": self.registration.app, "instance": self.registration.instance_id}

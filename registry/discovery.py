"""Reads the registry from Eureka: everything once, then what changed."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from random import Random
from typing import Protocol, TypeVar

import structlog

from registry.backoff import Backoff
from registry.codec import Action, Entry, GarbledRegistry, Listing, decode_applications
from registry.outage import Outage
from registry.shrinkguard import ShrinkGuard
from registry.snapshot import EMPTY, Snapshot
from registry.transport import EurekaUnavailable, Reply

_log = structlog.get_logger()
_Read = TypeVar("_Read")

_FULL_EVERY_ROUNDS = 10
_FIRST_RETRY_S, _RETRY_CAP_S = 0.2, 5.0
_JITTER_RATIO = 0.1
# A server remembers changes for 180 s and shows them up to 30 s late; after a longer gap deltas have holes.
_DELTA_REACH_S = 120.0
_THREAD_BYTES = 1_000_000  # about 900 instances, 10 ms of decoding


class Source(Protocol):
    """Where documents come from; see `registry.transport.EurekaTransport`."""

    async def request(self, method: str, path: str, *, accept: Collection[int] = ()) -> Reply: ...


def apply_delta(snapshot: Snapshot, entries: Iterable[Entry]) -> Snapshot:
    """The registry after the changes; `snapshot` itself if they change nothing.

    Idempotent, as it must be: a server repeats each entry for three minutes.
    """
    instances = dict(snapshot.instances)
    for entry in entries:
        key = (entry.instance.app, entry.instance.id)
        if entry.action is Action.DELETED:
            instances.pop(key, None)
        else:
            instances[key] = entry.instance
    return snapshot if instances == snapshot.instances else Snapshot.of(instances.values())


class Discovery:
    """The last good view of the registry, kept current by `run`; it outlives any failure of Eureka."""

    def __init__(
        self,
        source: Source,
        *,
        fetch_interval_s: float,
        clock: Callable[[], float],
        rng: Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`clock` is monotonic, in seconds."""
        self.snapshot = EMPTY  # replaced as a whole, never changed
        self.first_read = asyncio.Event()
        self.last_success_s: float | None = None  # by `clock`
        self.fetches_total = 0
        self.fetch_failures_total = 0
        self.unreadable_instances = 0  # left out of the last full read
        self._source = source
        self._fetch_interval_s = fetch_interval_s
        self._clock = clock
        self._rng = rng
        self._sleep = sleep
        self._subscribers: list[Callable[[Snapshot], None]] = []
        self._outage = Outage("discovery", clock)
        self._backoff = Backoff(_FIRST_RETRY_S, _RETRY_CAP_S, rng)
        self._guard = ShrinkGuard(clock)
        self._listed = EMPTY  # exactly what the server lists: the base of deltas and hashes
        self._rounds_since_full = 0

    @property
    def age_s(self) -> float | None:
        """Seconds since Eureka last confirmed `snapshot`; None before the first read."""
        return None if self.last_success_s is None else self._clock() - self.last_success_s

    @property
    def problem(self) -> str:
        """Why the last read failed; "" when it worked."""
        return self._outage.problem

    @property
    def held_instances(self) -> int:
        """Instances served although Eureka does not list them; see ShrinkGuard."""
        return self._guard.held

    def subscribe(self, callback: Callable[[Snapshot], None]) -> None:
        """Call back with every new snapshot, from the next change on. The callback must not raise."""
        self._subscribers.append(callback)

    async def run(self) -> None:
        """Reads for ever, one read at a time."""
        while True:
            await self._sleep(await self.refresh())

    async def refresh(self) -> float:
        """One read; returns the seconds until the next is due."""
        self.fetches_total += 1
        try:
            self._listed = await self._read()
        except (EurekaUnavailable, GarbledRegistry) as error:
            self.fetch_failures_total += 1
            self._outage.failed(str(error))
            if self.last_success_s is None:
                return self._backoff.next_s()
        else:
            self.last_success_s = self._clock()
            self._outage.ended()
            self._publish(self._guard.cover(self._listed))
        return self._fetch_interval_s * self._rng.uniform(1.0 - _JITTER_RATIO, 1.0 + _JITTER_RATIO)

    async def _read(self) -> Snapshot:
        if self._delta_is_enough():
            changed = await self._read_delta()
            if changed is not None:
                self._rounds_since_full += 1
                return changed
        return await self._read_full()

    def _delta_is_enough(self) -> bool:
        # Every so often a full read: the hash counts statuses, it does not see one UP instance replaced by
        # another.
        age_s = self.age_s
        return age_s is not None and age_s < _DELTA_REACH_S and self._rounds_since_full < _FULL_EVERY_ROUNDS - 1

    async def _read_delta(self) -> Snapshot | None:
        """None when only a full read helps."""
        reply = await self._source.request("GET", "apps/delta", accept=(403, 404))
        if reply.status in (403, 404):  # warming up, or deltas are switched off
            return None
        listing = await _decoded(decode_applications, reply.body)
        changed = apply_delta(self._listed, listing.entries)
        # An instance we cannot read is in the server's hash but never in ours.
        comparable = listing.hashcode is not None and not self.unreadable_instances and not listing.skipped
        return None if comparable and listing.hashcode != changed.hashcode else changed

    async def _read_full(self) -> Snapshot:
        reply = await self._source.request("GET", "apps/")
        listing, listed = await _decoded(_decode_full, reply.body)
        self._guard.compare(self._listed, listed)
        self._rounds_since_full = 0
        if listing.skipped and listing.skipped != self.unreadable_instances:
            _log.warning("registry lists instances that cannot be read", instances=listing.skipped)
        self.unreadable_instances = listing.skipped
        return listed

    def _publish(self, snapshot: Snapshot) -> None:
        first = not self.first_read.is_set()
        if snapshot is not self.snapshot:
            self.snapshot = snapshot
            for callback in self._subscribers:
                callback(snapshot)
        if first:
            _log.info("registry read", instances=len(snapshot.instances))
            self.first_read.set()


def _decode_full(body: bytes) -> tuple[Listing, Snapshot]:
    listing = decode_applications(body)
    return listing, Snapshot.of(entry.instance for entry in listing.entries)


async def _decoded(decode: Callable[[bytes], _Read], body: bytes) -> _Read:
    """Large bodies in a thread: the loop serves requests meanwhile."""
    return await asyncio.to_thread(decode, body) if len(body) > _THREAD_BYTES else decode(body)

"""Reads the registry from Eureka: everything once, then what changed."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from random import Random
from typing import Protocol, TypeVar

import structlog

from registry.backoff import Backoff
from registry.codec import Action, Entry, GarbledRegistry, Listing, decode_applications
from registry.outage import Outage
from registry.refusals import Refusals
from registry.shrinkguard import RETURN_S, ShrinkGuard, sudden
from registry.snapshot import EMPTY, Refusal, Snapshot, anyone, key_of
from registry.transport import EurekaUnavailable, Reply

_log = structlog.get_logger()
_Result = TypeVar("_Result")

_FULL_EVERY_ROUNDS = 10
_FIRST_RETRY_S, _RETRY_CAP_S = 0.2, 5.0
_JITTER_RATIO = 0.1
# A server remembers changes for 180 s and shows them up to 30 s late; after a longer gap deltas have holes.
_DELTA_REACH_S = 120.0
# A busy server's delta and hash are inconsistent now and then, for all of its clients at once, whose full reads then
# come at once, too (Netflix/eureka#1120, #1528).
_MISMATCH_PAUSE_S = 5.0
_THREAD_BYTES = 1_000_000  # about 900 instances, 20 ms of decoding
_SLICE_INSTANCES, _SLICE_PAUSE_S = 10, 0.0002  # decoded between two pauses: about half a millisecond


class Source(Protocol):
    """Where documents come from; see `registry.transport.EurekaTransport`."""

    async def request(self, method: str, path: str, *, accept: Collection[int] = ()) -> Reply: ...
    def distrust(self, reply: Reply) -> None: ...


def apply_delta(snapshot: Snapshot, entries: Iterable[Entry], refusal: Refusal = anyone) -> Snapshot:
    """The registry after the changes; `snapshot` itself if they change nothing.

    Idempotent, as it must be: a server repeats each entry for three minutes. Of several entries for one instance
    the last one counts.
    """
    last = {key_of(entry.instance): entry for entry in entries}
    gone = [key for key, entry in last.items() if entry.action is Action.DELETED]
    put = [entry.instance for entry in last.values() if entry.action is not Action.DELETED]
    return snapshot.changed(put, gone, refusal)


def _replaced(snapshot: Snapshot, listing: Listing, refusal: Refusal) -> Snapshot:
    """What a full read lists; `snapshot` itself, or as much of it as possible, where that is the same."""
    instances = [entry.instance for entry in listing.entries]
    return snapshot.changed(instances, snapshot.instances.keys() - set(map(key_of, instances)), refusal)


class Discovery:
    """The last good view of the registry, kept current by `run`; it outlives any failure of Eureka."""

    def __init__(
        self,
        source: Source,
        *,
        fetch_interval_s: float,
        clock: Callable[[], float],
        rng: Random,
        refusal: Refusal = anyone,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`clock` is monotonic, in seconds. `refusal` says which instances must not be called."""
        self.snapshot = EMPTY  # replaced as a whole, never changed
        self.first_attempt = asyncio.Event()  # set after the first read, good or not
        self.first_read = asyncio.Event()  # set when `snapshot` can be used: read, or restored
        self.last_success_s: float | None = None  # by `clock`; None while nothing was read
        self.fetches_total = 0
        self.fetch_failures_total = 0
        self.unreadable_instances = 0  # left out of the last full read
        self.refusals = Refusals()
        self._source = source
        self._fetch_interval_s = fetch_interval_s
        self._clock = clock
        self._rng = rng
        self._sleep = sleep
        self._subscribers: list[Callable[[Snapshot], None]] = []
        self._outage = Outage("discovery", clock)
        self._backoff = Backoff(_FIRST_RETRY_S, _RETRY_CAP_S, rng)
        self._refusal = refusal
        self._guard = ShrinkGuard(clock, RETURN_S + fetch_interval_s, refusal)
        self._listed = EMPTY  # exactly what the server lists: the base of deltas and hashes
        self._restored_s: float | None = None  # by `clock`: when what was restored had been read
        self._rounds_since_full = 0

    @property
    def age_s(self) -> float | None:
        """Seconds since Eureka last confirmed `snapshot`, maybe to an earlier process; None before the first read."""
        since_s = self.last_success_s if self.last_success_s is not None else self._restored_s
        return None if since_s is None else self._clock() - since_s

    @property
    def restored(self) -> bool:
        """Whether `snapshot` comes from an earlier process, since no server has answered yet."""
        return self.last_success_s is None and self._restored_s is not None

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

    def restore(self, snapshot: Snapshot, age_s: float) -> None:
        """Use what an earlier process read `age_s` ago, until a server answers. Nothing once one has."""
        if self.last_success_s is None:
            self._restored_s = self._clock() - age_s
            self._publish(snapshot)

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
        finally:
            self.first_attempt.set()
        return self._fetch_interval_s * self._rng.uniform(1.0 - _JITTER_RATIO, 1.0 + _JITTER_RATIO)

    async def _read(self) -> Snapshot:
        before = self._listed if self.last_success_s is not None else self.snapshot
        if self._delta_is_enough():
            changed = await self._read_delta()
            if changed is not None:
                if not sudden(before, changed):
                    self._rounds_since_full += 1
                    return changed
                _log.warning("registry shrinks, asking again", listed=len(changed.instances))
                before = changed
        return await self._read_full(before)

    def _delta_is_enough(self) -> bool:
        # Every so often a full read: the hash counts statuses, it does not see one UP instance replaced by
        # another.
        return (
            self.last_success_s is not None
            and self._clock() - self.last_success_s < _DELTA_REACH_S
            and self._rounds_since_full < _FULL_EVERY_ROUNDS - 1
            and not self._guard.wants_confirmation
        )

    async def _read_delta(self) -> Snapshot | None:
        """None when only a full read helps."""
        reply = await self._source.request("GET", "apps/delta", accept=(403, 404))
        if reply.status in (403, 404):  # warming up, or deltas are switched off
            return None
        listing = await self._decoded(reply)
        changed = apply_delta(self._listed, listing.entries, self._refusal)
        # An instance we cannot read is in the server's hash but never in ours.
        comparable = listing.hashcode is not None and not self.unreadable_instances and not listing.skipped
        if not comparable or listing.hashcode == changed.hashcode:
            return changed
        await self._sleep(self._rng.uniform(0.0, min(_MISMATCH_PAUSE_S, self._fetch_interval_s)))
        return None

    async def _read_full(self, before: Snapshot) -> Snapshot:
        """`before` is what the registry was until now, as far as it is not contested."""
        reply = await self._source.request("GET", "apps/")
        listing = await self._decoded(reply)
        listed = await _worked_off(reply, lambda: _replaced(self._listed, listing, self._refusal))
        self._guard.full_read(before, listed)
        self._rounds_since_full = 0
        if listing.skipped and listing.skipped != self.unreadable_instances:
            _log.warning("registry lists instances that cannot be read", instances=listing.skipped)
        self.unreadable_instances = listing.skipped
        return listed

    async def _decoded(self, reply: Reply) -> Listing:
        try:
            return await _worked_off(reply, lambda: decode_applications(reply.body, _pauses(reply)))
        except GarbledRegistry:
            self._source.distrust(reply)
            raise

    def _publish(self, snapshot: Snapshot) -> None:
        if snapshot is not self.snapshot:
            self.snapshot = snapshot
            self.refusals.listed(snapshot)
            for callback in self._subscribers:
                callback(snapshot)
        if not self.first_read.is_set():
            event = "registry restored from the cache file" if self.restored else "registry read"
            _log.info(event, instances=len(snapshot.instances), age_s=round(self.age_s or 0.0, 1))
            self.first_read.set()


def _is_large(reply: Reply) -> bool:
    return len(reply.body) > _THREAD_BYTES


async def _worked_off(reply: Reply, work: Callable[[], _Result]) -> _Result:
    """What a large document needs done is done in a thread: the loop serves requests meanwhile."""
    return await asyncio.to_thread(work) if _is_large(reply) else work()


def _pauses(reply: Reply) -> Callable[[], None]:
    """Between slices of a large document the thread sleeps, or the loop would wait up to 5 ms for the interpreter's
    lock each time it has something to do (sys.getswitchinterval)."""
    if not _is_large(reply):
        return lambda: None
    counter = itertools.count(1)

    def pause() -> None:
        if next(counter) % _SLICE_INSTANCES == 0:
            time.sleep(_SLICE_PAUSE_S)

    return pause

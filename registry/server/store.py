"""The leases of a Eureka server: who is registered, in which status, and what changed lately.

Semantics of Netflix eureka 2.0.5 `AbstractInstanceRegistry`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import Enum
from random import Random

from registry.instance import Status
from registry.server.effective_status import effective_status
from registry.server.eviction import chosen
from registry.server.lease import Action, Lease, LeaseKey
from registry.server.overrides import Overrides
from registry.server.registration import Registration
from registry.server.self_preservation import SelfPreservation


class Renewal(Enum):
    """What a heartbeat found: no lease, or one whose description is as old as the sender's, older, or newer."""

    UNKNOWN = "unknown"
    SAME = "same"
    STORED_IS_OLDER = "older"
    STORED_IS_NEWER = "newer"


class LeaseStore:
    """Registered instances by application and id.

    `clock_ms` gives epoch milliseconds. With `strict_leases`, as in Java, a renewal counts from one lease duration
    after it arrived, so an instance stays for two durations after its last heartbeat; without, for one. Writes that a
    peer replicates are believed: an instance's status may then go from UP to OUT_OF_SERVICE and back.
    """

    def __init__(
        self,
        clock_ms: Callable[[], int],
        *,
        delta_retention_ms: int = 180_000,
        strict_leases: bool = False,
        self_preservation: bool = False,
        rng: Random | None = None,
    ) -> None:
        self._clock_ms = clock_ms
        self._delta_retention_ms = delta_retention_ms
        self._strict_leases = strict_leases
        self._guard = SelfPreservation(clock_ms, enabled=self_preservation)
        self._rng = rng or Random()
        self._apps: dict[str, dict[str, Lease]] = {}
        self._overrides = Overrides(clock_ms)
        self._changes: dict[LeaseKey, Lease] = {}  # oldest change first; one instance shows its final state only
        self._changed = 0
        self._revision = 0

    @property
    def version(self) -> int:
        """How many changes there have been; clients must not compare it between servers."""
        return self._changed

    @property
    def revision(self) -> int:
        """Differs whenever a list or the delta would read differently, but for the times of heartbeats."""
        self._forget_old_changes()
        return self._revision

    @property
    def overrides(self) -> dict[str, Status]:
        """Those in force, by instance id."""
        return self._overrides.all()

    @property
    def preserving(self) -> bool:
        """Whether self-preservation keeps expired leases at present."""
        return not self._guard.allows_expiry

    def register(self, registration: Registration, *, replicated: bool = False) -> None:
        """Adds the instance or replaces it, unless a description with a newer dirty timestamp is here already."""
        last_dirty_ms = registration.last_dirty_ms
        if last_dirty_ms is None:
            last_dirty_ms = self._clock_ms()
        existing = self._lease(registration.app, registration.id)
        if existing is None:
            self._guard.registered()
        reported = registration.status
        duration_ms = registration.duration_s * 1000
        if existing is not None and existing.last_dirty_ms > last_dirty_ms:
            registration, reported, last_dirty_ms = _stored(existing), existing.status, existing.last_dirty_ms
        self._install(registration, reported, last_dirty_ms, duration_ms, replicated=replicated)

    def renew(self, app: str, instance_id: str, last_dirty_ms: int | None = None) -> Renewal:
        """A heartbeat. It renews the lease whichever description is the newer."""
        lease = self._lease(app, instance_id)
        if lease is None:
            return Renewal.UNKNOWN
        status = effective_status(lease.status, self._overrides.get(instance_id), lease.status)
        if status is Status.UNKNOWN:
            return Renewal.UNKNOWN
        if status is not lease.status:
            lease.status = status
            self._revision += 1
        self._guard.renewed()
        self._extend(lease)
        if last_dirty_ms is None or last_dirty_ms == lease.last_dirty_ms:
            return Renewal.SAME
        return Renewal.STORED_IS_OLDER if lease.last_dirty_ms < last_dirty_ms else Renewal.STORED_IS_NEWER

    def cancel(self, app: str, instance_id: str) -> bool:
        """Removes the instance and its override; False if it was not registered."""
        self._overrides.remove(instance_id)
        lease = self._lease(app, instance_id)
        if lease is None:
            return False
        del self._apps[app][instance_id]
        if not self._apps[app]:
            del self._apps[app]
        self._guard.removed()
        lease.evicted_ms = self._clock_ms()
        self._record(lease, "DELETED")
        return True

    def override(self, app: str, instance_id: str, status: Status, last_dirty_ms: int | None = None) -> bool:
        """Puts the instance into `status` whatever it reports, until `drop_override`; False if it is not registered."""
        lease = self.find(app, instance_id)
        if lease is None:
            return False
        self._extend(lease)
        if lease.status is not status:
            self._overrides.put(instance_id, status)
            if status is Status.UP:
                self._mark_up(lease)
            self._set_status(lease, status, overridden=status, last_dirty_ms=last_dirty_ms)
        return True

    def adopt_override(self, app: str, instance_id: str, status: Status) -> None:
        """Takes over a peer's override; the instance's status follows at its next heartbeat."""
        lease = self.find(app, instance_id)
        if self._overrides.get(instance_id) is not status and lease is not None:
            self._overrides.put(instance_id, status)
            lease.overridden = status
            self._revision += 1

    def drop_override(
        self, app: str, instance_id: str, status: Status = Status.UNKNOWN, last_dirty_ms: int | None = None
    ) -> bool:
        """Ends an override; `status` holds until the instance registers again. False if it is not registered."""
        lease = self.find(app, instance_id)
        if lease is None:
            return False
        self._extend(lease)
        if self._overrides.remove(instance_id) is not None:
            self._set_status(lease, status, overridden=Status.UNKNOWN, last_dirty_ms=last_dirty_ms)
        return True

    def put_metadata(self, app: str, instance_id: str, entries: Mapping[str, str]) -> bool:
        """Adds entries to the metadata, by registering the instance again in place; False if it is not registered."""
        lease = self.find(app, instance_id)
        if lease is None:
            return False
        registration = replace(_stored(lease), metadata={**lease.registration.metadata, **entries})
        self._install(registration, lease.status, lease.last_dirty_ms, lease.duration_ms)
        return True

    def evict(self, late_ms: int = 0) -> list[Lease]:
        """One pass of eviction; the leases that it cancelled. `late_ms`: by how much the pass itself is late."""
        leases = list(self.leases())
        self._guard.recount(len(leases))
        if not self._guard.allows_expiry:
            return []
        now_ms = self._clock_ms()
        evicted = chosen([it for it in leases if it.expired(now_ms, late_ms)], len(leases), self._rng)
        for lease in evicted:
            self.cancel(*lease.key)
        return evicted

    def find(self, app: str, instance_id: str) -> Lease | None:
        """One instance; an expired one is hidden here at once, while the lists show it until it is evicted."""
        lease = self._lease(app, instance_id)
        if lease is None or (lease.expired(self._clock_ms()) and self._guard.allows_expiry):
            return None
        return lease

    def find_by_id(self, instance_id: str) -> Lease | None:
        """The first instance of that id in any application."""
        for app in self._apps:
            if (lease := self.find(app, instance_id)) is not None:
                return lease
        return None

    def application(self, app: str) -> list[Lease]:
        return list(self._apps.get(app, {}).values())

    def leases(self) -> Iterator[Lease]:
        for instances in self._apps.values():
            yield from instances.values()

    def changes(self) -> list[Lease]:
        """Every instance that changed within the retention, oldest change first, DELETED ones included."""
        self._forget_old_changes()
        return list(self._changes.values())

    def _lease(self, app: str, instance_id: str) -> Lease | None:
        return self._apps.get(app, {}).get(instance_id)

    def _install(
        self,
        registration: Registration,
        reported: Status,
        last_dirty_ms: int,
        duration_ms: int,
        *,
        replicated: bool = False,
    ) -> None:
        now_ms = self._clock_ms()
        existing = self._lease(registration.app, registration.id)
        override = self._overrides.get(registration.id)
        if override is None and registration.overridden is not Status.UNKNOWN:
            override = registration.overridden
            self._overrides.put(registration.id, override)
        existing_status = existing.status if existing is not None and not replicated else None
        lease = Lease(
            registration=registration,
            status=effective_status(reported, override, existing_status),
            overridden=override or Status.UNKNOWN,
            last_dirty_ms=last_dirty_ms,
            duration_ms=duration_ms,
            registered_ms=now_ms,
            renewed_ms=now_ms,
            service_up_ms=existing.service_up_ms if existing else 0,
        )
        if lease.status is Status.UP:
            self._mark_up(lease)
        self._apps.setdefault(registration.app, {})[registration.id] = lease
        self._record(lease, "ADDED")

    def _extend(self, lease: Lease) -> None:
        lease.renewed_ms = self._clock_ms() + (lease.duration_ms if self._strict_leases else 0)

    def _mark_up(self, lease: Lease) -> None:
        lease.service_up_ms = lease.service_up_ms or self._clock_ms()

    def _set_status(self, lease: Lease, status: Status, *, overridden: Status, last_dirty_ms: int | None) -> None:
        lease.status = status
        lease.overridden = overridden
        lease.last_dirty_ms = max(lease.last_dirty_ms, last_dirty_ms or 0)
        self._record(lease, "MODIFIED")

    def _record(self, lease: Lease, action: Action) -> None:
        """Puts the change at the end of the delta."""
        lease.action = action
        lease.last_updated_ms = self._clock_ms()
        self._changes.pop(lease.key, None)
        self._changes[lease.key] = lease
        self._changed += 1
        self._revision += 1

    def _forget_old_changes(self) -> None:
        oldest_ms = self._clock_ms() - self._delta_retention_ms
        while self._changes:
            key = next(iter(self._changes))
            if self._changes[key].last_updated_ms >= oldest_ms:
                return
            del self._changes[key]
            self._revision += 1


def _stored(lease: Lease) -> Registration:
    """The description of a lease, with the override it has by now instead of the one it came with."""
    return replace(lease.registration, overridden=lease.overridden)

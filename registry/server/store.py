"""The leases of a Eureka server: who is registered, in which status, and what changed lately.

Semantics of Netflix eureka 2.0.6 `AbstractInstanceRegistry`, without self-preservation and replication.
Overrides are kept until their instance goes; Java also drops those of silent instances after an hour, but here
a silent instance is always evicted first.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from registry.instance import Status
from registry.server.registration import Registration

LeaseKey = tuple[str, str]  # (application in upper case, instance id)
Action = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(slots=True, eq=False)
class Lease:
    """One registration and what the server knows beside it. All times are epoch milliseconds; 0: has not happened."""

    registration: Registration
    status: Status
    overridden: Status
    last_dirty_ms: int
    duration_ms: int
    registered_ms: int
    renewed_ms: int
    service_up_ms: int = 0
    evicted_ms: int = 0
    last_updated_ms: int = 0
    action: Action = "ADDED"

    @property
    def key(self) -> LeaseKey:
        return self.registration.app, self.registration.id

    def expired(self, now_ms: int) -> bool:
        return now_ms > self.renewed_ms + self.duration_ms


def effective_status(reported: Status, override: Status | None, existing: Status | None) -> Status:
    """The status others see. First match wins: Java's DownOrStarting, OverrideExists, LeaseExists, AlwaysMatch rules.

    An instance that is UP or OUT_OF_SERVICE cannot move itself to the other of the two: only an override can.
    """
    if reported not in (Status.UP, Status.OUT_OF_SERVICE):
        return reported
    if override is not None:
        return override
    if existing in (Status.UP, Status.OUT_OF_SERVICE):
        return existing
    return reported


def hashcode(leases: Iterable[Lease]) -> str:
    """`apps__hashcode` (Applications.getReconcileHashCode): instances per status, e.g. `DOWN_2_UP_40_`."""
    counts = Counter(lease.status.value for lease in leases)
    return "".join(f"{status}_{counts[status]}_" for status in sorted(counts))


class LeaseStore:
    """Registered instances by application and id.

    `clock_ms` gives epoch milliseconds. With `lease_doubling`, as in Java, a renewal counts from one lease duration
    after it arrived, so an instance stays for two durations after its last heartbeat; without, for one.
    """

    def __init__(
        self, clock_ms: Callable[[], int], *, delta_retention_ms: int = 180_000, lease_doubling: bool = False
    ) -> None:
        self._clock_ms = clock_ms
        self._delta_retention_ms = delta_retention_ms
        self._lease_doubling = lease_doubling
        self._apps: dict[str, dict[str, Lease]] = {}
        self._overrides: dict[str, Status] = {}  # by instance id alone, as in Java
        self._changes: dict[LeaseKey, Lease] = {}  # oldest change first; one instance shows its final state only
        self._version = 0

    @property
    def version(self) -> int:
        """How many changes there have been; clients must not compare it between servers."""
        return self._version

    def register(self, registration: Registration) -> None:
        """Adds the instance or replaces it, unless a description with a newer dirty timestamp is here already."""
        last_dirty_ms = registration.last_dirty_ms
        if last_dirty_ms is None:
            last_dirty_ms = self._clock_ms()
        duration_ms = registration.duration_s * 1000
        existing = self._lease(*_key(registration))
        if existing is not None and existing.last_dirty_ms > last_dirty_ms:
            self._install(existing.registration, existing.status, existing.last_dirty_ms, duration_ms)
        else:
            self._install(registration, registration.status, last_dirty_ms, duration_ms)

    def renew(self, app: str, instance_id: str, last_dirty_ms: int | None = None) -> bool:
        """A heartbeat. False: the client has to register again, because it is unknown or its description is newer."""
        lease = self._lease(app, instance_id)
        if lease is None:
            return False
        status = effective_status(lease.status, self._overrides.get(instance_id), lease.status)
        if status is Status.UNKNOWN:
            return False
        lease.status = status
        self._extend(lease)
        return last_dirty_ms is None or last_dirty_ms <= lease.last_dirty_ms

    def cancel(self, app: str, instance_id: str) -> bool:
        """Removes the instance and its override; False if it was not registered."""
        self._overrides.pop(instance_id, None)
        lease = self._lease(app, instance_id)
        if lease is None:
            return False
        del self._apps[app][instance_id]
        if not self._apps[app]:
            del self._apps[app]
        lease.evicted_ms = self._clock_ms()
        self._changed(lease, "DELETED")
        return True

    def override(self, app: str, instance_id: str, status: Status, last_dirty_ms: int | None = None) -> bool:
        """Puts the instance into `status` whatever it reports, until `drop_override`; False if it is not registered."""
        lease = self._lease(app, instance_id)
        if lease is None:
            return False
        self._extend(lease)
        if lease.status is not status:
            self._overrides[instance_id] = status
            if status is Status.UP:
                self._mark_up(lease)
            self._set_status(lease, status, overridden=status, last_dirty_ms=last_dirty_ms)
        return True

    def drop_override(
        self, app: str, instance_id: str, status: Status = Status.UNKNOWN, last_dirty_ms: int | None = None
    ) -> bool:
        """Ends an override; `status` holds until the instance registers again. False if it is not registered."""
        lease = self._lease(app, instance_id)
        if lease is None:
            return False
        self._extend(lease)
        if self._overrides.pop(instance_id, None) is not None:
            self._set_status(lease, status, overridden=Status.UNKNOWN, last_dirty_ms=last_dirty_ms)
        return True

    def put_metadata(self, app: str, instance_id: str, entries: Mapping[str, str]) -> bool:
        """Adds entries to the metadata, by registering the instance again in place; False if it is not registered."""
        lease = self.find(app, instance_id)
        if lease is None:
            return False
        registration = replace(lease.registration, metadata={**lease.registration.metadata, **entries})
        self._install(registration, lease.status, lease.last_dirty_ms, lease.duration_ms)
        return True

    def evict(self) -> list[Lease]:
        """Cancels every expired lease and returns them."""
        now_ms = self._clock_ms()
        expired = [lease for lease in self.leases() if lease.expired(now_ms)]
        for lease in expired:
            self.cancel(*lease.key)
        self._forget_old_changes()
        return expired

    def find(self, app: str, instance_id: str) -> Lease | None:
        """One instance; an expired one is hidden here at once, while the lists show it until it is evicted."""
        lease = self._lease(app, instance_id)
        return None if lease is None or lease.expired(self._clock_ms()) else lease

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

    def _install(self, registration: Registration, reported: Status, last_dirty_ms: int, duration_ms: int) -> None:
        now_ms = self._clock_ms()
        existing = self._lease(*_key(registration))
        if registration.overridden is not Status.UNKNOWN:
            self._overrides.setdefault(registration.id, registration.overridden)
        override = self._overrides.get(registration.id)
        lease = Lease(
            registration=registration,
            status=effective_status(reported, override, existing.status if existing else None),
            overridden=override or registration.overridden,
            last_dirty_ms=last_dirty_ms,
            duration_ms=duration_ms,
            registered_ms=now_ms,
            renewed_ms=now_ms,
            service_up_ms=existing.service_up_ms if existing else 0,
        )
        if lease.status is Status.UP:
            self._mark_up(lease)
        self._apps.setdefault(registration.app, {})[registration.id] = lease
        self._changed(lease, "ADDED")

    def _extend(self, lease: Lease) -> None:
        lease.renewed_ms = self._clock_ms() + (lease.duration_ms if self._lease_doubling else 0)

    def _mark_up(self, lease: Lease) -> None:
        lease.service_up_ms = lease.service_up_ms or self._clock_ms()

    def _set_status(self, lease: Lease, status: Status, *, overridden: Status, last_dirty_ms: int | None) -> None:
        lease.status = status
        lease.overridden = overridden
        lease.last_dirty_ms = max(lease.last_dirty_ms, last_dirty_ms or 0)
        self._changed(lease, "MODIFIED")

    def _changed(self, lease: Lease, action: Action) -> None:
        lease.action = action
        lease.last_updated_ms = self._clock_ms()
        self._changes.pop(lease.key, None)
        self._changes[lease.key] = lease
        self._version += 1

    def _forget_old_changes(self) -> None:
        oldest_ms = self._clock_ms() - self._delta_retention_ms
        while self._changes:
            key = next(iter(self._changes))
            if self._changes[key].last_updated_ms >= oldest_ms:
                return
            del self._changes[key]


def _key(registration: Registration) -> LeaseKey:
    return registration.app, registration.id

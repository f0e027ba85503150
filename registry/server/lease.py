"""A lease: one registration and what the server knows beside it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from registry.instance import Status
from registry.server.registration import Registration

LeaseKey = tuple[str, str]  # (application in upper case, instance id)
Action = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(slots=True, eq=False)
class Lease:
    """All times are epoch milliseconds; 0: has not happened."""

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
    action: Action | None = None  # what the delta says about it; None: it was never in one

    @property
    def key(self) -> LeaseKey:
        return self.registration.app, self.registration.id

    def expired(self, now_ms: int, extra_ms: int = 0) -> bool:
        """`extra_ms` is given to all leases, when time passed in which no heartbeat could arrive."""
        return now_ms > self.renewed_ms + self.duration_ms + extra_ms


def hashcode(leases: Iterable[Lease]) -> str:
    """`apps__hashcode` (Applications.getReconcileHashCode): instances per status, e.g. `DOWN_2_UP_40_`."""
    counts = Counter(lease.status.value for lease in leases)
    return "".join(f"{status}_{counts[status]}_" for status in sorted(counts))

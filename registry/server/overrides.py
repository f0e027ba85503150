"""Statuses that operators put over those the instances report."""

from collections.abc import Callable

from registry.instance import Status

EXPIRY_MS = 3_600_000


class Overrides:
    """By instance id alone, whatever the application, and forgotten an hour after the last access, as in Java.

    Source: `AbstractInstanceRegistry.overriddenInstanceStatusMap`. A heartbeat is an access.
    """

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._statuses: dict[str, tuple[Status, int]] = {}  # with the time of the last access

    def get(self, instance_id: str) -> Status | None:
        status, accessed_ms = self._statuses.get(instance_id, (None, 0))
        if status is None:
            return None
        if self._clock_ms() >= accessed_ms + EXPIRY_MS:
            del self._statuses[instance_id]
            return None
        self.put(instance_id, status)
        return status

    def put(self, instance_id: str, status: Status) -> None:
        self._statuses[instance_id] = status, self._clock_ms()

    def remove(self, instance_id: str) -> Status | None:
        """What was in force, if anything was."""
        status = self.get(instance_id)
        self._statuses.pop(instance_id, None)
        return status

    def all(self) -> dict[str, Status]:
        oldest_ms = self._clock_ms() - EXPIRY_MS
        return {id: status for id, (status, accessed_ms) in self._statuses.items() if accessed_ms > oldest_ms}

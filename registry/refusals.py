"""Keeps the books of refused instances: counted by reason, logged once each."""

from collections import Counter
from collections.abc import Mapping

import structlog

from registry.snapshot import InstanceKey, Snapshot

_log = structlog.get_logger()

_MAX_LINES = 20  # a read: a registry full of refused instances must not fill the log
_MAX_DIALLED = 1000


class Refusals:
    """What `registry.trust` refused, at reading and at dialling."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()  # by reason; an instance counts again when it comes back
        self._listed: Mapping[InstanceKey, str] = {}
        self._dialled: set[tuple[str, str]] = set()

    def listed(self, snapshot: Snapshot) -> None:
        """Take note of what a new snapshot refuses."""
        new = [(key, reason) for key, reason in snapshot.refused.items() if self._listed.get(key) != reason]
        self._listed = snapshot.refused
        for _, reason in new:
            self.total[reason] += 1
        for key, reason in new[:_MAX_LINES]:
            instance = snapshot.instances[key]
            app, name = key
            address = f"{instance.host}:{instance.port}"
            _log.warning("instance refused", app=app, instance=name, address=address, ip=instance.ip, reason=reason)
        if len(new) > _MAX_LINES:
            _log.warning("further instances refused", count=len(new) - _MAX_LINES)

    def dialled(self, host: str, ip: str, reason: str) -> None:
        """Take note of a host name that led to an address which must not be dialled."""
        if (host, ip) in self._dialled:
            return
        if len(self._dialled) >= _MAX_DIALLED:
            self._dialled.clear()
        self._dialled.add((host, ip))
        self.total[reason] += 1
        _log.warning("address of an instance refused", host=host, ip=ip, reason=reason)

"""One instance as the balancer sees it."""

from typing import NamedTuple

from loadbalancer.ejection import Standing
from loadbalancer.load import PeakEwma
from loadbalancer.stats import ServerStats
from registry.instance import Instance


class NodeKey(NamedTuple):
    """What makes a node the same one across membership updates; a moved instance is a new node."""

    app: str
    id: str
    host: str
    port: int

    @classmethod
    def of(cls, instance: Instance) -> "NodeKey":
        return cls(instance.app, instance.id, instance.host, instance.port)


class Node:
    """State survives membership updates as long as the key stays. Equal and hashable by identity."""

    __slots__ = ("failures", "instance", "key", "load", "standing", "stats", "successes")

    def __init__(self, instance: Instance, standing: Standing, stats: ServerStats | None = None) -> None:
        self.instance = instance  # replaced when only status or metadata change
        self.key = NodeKey.of(instance)
        self.load = PeakEwma()
        self.standing = standing
        self.stats = stats  # kept for Ribbon's rules only
        self.successes = 0  # since the node appeared
        self.failures = 0

    @property
    def pending(self) -> int:
        """Attempts picked and not yet released."""
        return self.load.pending

    @property
    def ejected(self) -> bool:
        return self.standing.ejected

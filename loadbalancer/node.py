"""One instance as the balancer sees it."""

from typing import NamedTuple

from loadbalancer.ejection import Standing
from loadbalancer.load import PeakEwma
from loadbalancer.stats import ServerStats
from registry.instance import Instance

_LEAST_WEIGHT = 0.1  # Envoy's min_weight_percent: less would not even warm a node


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

    __slots__ = (
        "consecutive_failures",
        "failures",
        "instance",
        "key",
        "last_dirty_ms",
        "load",
        "ramp_ends_s",
        "ramp_s",
        "shadow",
        "standing",
        "stats",
        "successes",
    )

    def __init__(
        self,
        instance: Instance,
        standing: Standing,
        stats: ServerStats | None = None,
        shadow: Standing | None = None,
    ) -> None:
        self.instance = instance  # replaced when only status or metadata change
        self.key = NodeKey.of(instance)
        self.last_dirty_ms = instance.last_dirty_ms  # the newest ever read: servers that lag show older ones again
        self.load = PeakEwma()
        self.standing = standing
        self.stats = stats  # kept for Ribbon's rules only
        self.shadow = shadow  # what the standing would be with detectors in shadow mode, if there are such
        self.successes = 0  # since the node appeared
        self.failures = 0
        self.consecutive_failures = 0
        self.ramp_s = 0.0  # of the last slow start
        self.ramp_ends_s = 0.0  # monotonic

    @property
    def pending(self) -> int:
        """Attempts picked and not yet released."""
        return self.load.pending

    @property
    def ejected(self) -> bool:
        return self.standing.ejected

    @property
    def would_be_ejected(self) -> bool:
        """By a detector in shadow mode."""
        return self.shadow is not None and self.shadow.ejected

    def ramp(self, ramp_s: float, now_s: float) -> None:
        """Begin a slow start of so many seconds."""
        self.ramp_s = ramp_s
        self.ramp_ends_s = now_s + ramp_s

    def weight(self, now_s: float) -> float:
        """The part of its usual traffic that the node is to get, 0.1 to 1: Envoy's slow start with its default
        aggression of 1, which makes it a straight line."""
        left_s = self.ramp_ends_s - now_s
        return max(_LEAST_WEIGHT, 1 - left_s / self.ramp_s) if left_s > 0 else 1.0

    def handicap(self, now_s: float, draw: float) -> float:
        """What a comparison of two nodes multiplies this one's cost by, given a random number below 1.

        As often as its weight says, it competes as it is. Else it costs as much more as its weight is less: beside well
        peers it loses then, but not beside those that fail or hang. Always to weigh the cost would not ramp but step,
        for among equals the dearer of two loses each time.
        """
        weight = self.weight(now_s)
        return 1.0 if draw < weight else 1 / weight

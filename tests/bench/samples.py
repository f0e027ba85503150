"""Figures of single runs, and what several rounds of them come to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

MIB = 1024 * 1024

Figures = Mapping[str, float]
"""By name. cpu_us: CPU time of all the peer's processes per request. per_s: requests per second. p50_ms and the like:
latency; added_p50_ms and the like: less that of the direct call in the same round. loaded_mib, idle_mib: resident
memory. start_s: from the start of the process to its first answer."""


class RunError(Exception):
    """A run with errors, which is not a result."""


@dataclass(frozen=True)
class Sample:
    """One run, or why it is none."""

    scenario: str
    peer: str
    round: int
    figures: Figures
    error: str = ""


class Medians:
    """The median of each figure over the rounds that had no errors."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        values: dict[tuple[str, str, str], list[float]] = {}
        for sample in samples:
            for figure, value in sample.figures.items():
                values.setdefault((sample.scenario, sample.peer, figure), []).append(value)
        self._medians = {key: median(found) for key, found in values.items()}

    def get(self, scenario: str, peer: str, figure: str) -> float | None:
        return self._medians.get((scenario, peer, figure))

    def ratio(self, scenario: str, figure: str, peer: str, to: str) -> float | None:
        """How many times the figure of `to` that of `peer` is; None also where noise made either less than nothing."""
        ours, theirs = self.get(scenario, peer, figure), self.get(scenario, to, figure)
        return ours / theirs if ours and theirs and min(ours, theirs) > 0 else None

    def difference(self, scenario: str, figure: str, peer: str, to: str) -> float | None:
        """How much the figure of `peer` is above that of `to`."""
        ours, theirs = self.get(scenario, peer, figure), self.get(scenario, to, figure)
        return ours - theirs if ours is not None and theirs is not None else None

    def nested(self) -> dict[str, dict[str, dict[str, float]]]:
        """By scenario, peer and figure."""
        tree: dict[str, dict[str, dict[str, float]]] = {}
        for (scenario, peer, figure), value in self._medians.items():
            tree.setdefault(scenario, {}).setdefault(peer, {})[figure] = value
        return tree

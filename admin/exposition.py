"""Prometheus text 0.0.4 and OpenMetrics 1.0, written by hand.

prometheus_client takes 6 us of the event loop for a line, these few functions 1 us; what they must get right is
escaping, and the two places where the formats differ: how a counter's family is named, and the end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Literal

Kind = Literal["counter", "gauge", "histogram", "info"]
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram's value: counts per bucket (not cumulative, one more than bounds, the last for +Inf) and sum."""

    bounds: tuple[float, ...]
    counts: Sequence[int]
    sum: float


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family. `name` has no suffix: `_total`, `_info`, `_bucket` are added by kind."""

    name: str
    kind: Kind
    help: str
    samples: Iterable[tuple[Labels, float | Buckets]]


def prometheus_text(families: Iterable[Family]) -> str:
    """https://prometheus.io/docs/instrumenting/exposition_formats/: a family has its samples' name."""
    lines: list[str] = []
    for family in families:
        name = family.name + _SUFFIX[family.kind]
        kind = "gauge" if family.kind == "info" else family.kind  # 0.0.4 has no info
        lines.append(f"# HELP {name} {_escaped_help(family.help)}")
        lines.append(f"# TYPE {name} {kind}")
        _write_samples(lines, family)
    return "".join(f"{line}\n" for line in lines)


def openmetrics_text(families: Iterable[Family]) -> str:
    """OpenMetrics 1.0: counters and infos are named without their suffix, and the text must end with # EOF."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# TYPE {family.name} {family.kind}")
        lines.append(f"# HELP {family.name} {_escaped(family.help)}")
        _write_samples(lines, family)
    lines.append("# EOF")
    return "".join(f"{line}\n" for line in lines)


_SUFFIX: Mapping[Kind, str] = {"counter": "_total", "gauge": "", "histogram": "", "info": "_info"}


def _write_samples(lines: list[str], family: Family) -> None:
    name = family.name + _SUFFIX[family.kind]
    for labels, value in family.samples:
        pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        if isinstance(value, Buckets):
            _write_buckets(lines, name, pairs, value)
        else:
            lines.append(f"{name}{_braced(pairs)} {value}")


def _write_buckets(lines: list[str], name: str, pairs: str, buckets: Buckets) -> None:
    prefix = f"{pairs}," if pairs else ""
    count = 0
    for bound, count in zip(_bound_labels(buckets.bounds), accumulate(buckets.counts), strict=True):
        lines.append(f'{name}_bucket{{{prefix}le="{bound}"}} {count}')
    lines.append(f"{name}_count{_braced(pairs)} {count}")
    lines.append(f"{name}_sum{_braced(pairs)} {buckets.sum}")


@cache
def _bound_labels(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """OpenMetrics wants 1.0 and not 1. Cached, for every histogram has the same few bounds."""
    return (*(str(float(bound)) for bound in bounds), "+Inf")


def _braced(pairs: str) -> str:
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escaped_help(text: str) -> str:
    """0.0.4 leaves quotes in HELP alone and would show the backslash."""
    return text.replace("\\", r"\\").replace("\n", r"\n")

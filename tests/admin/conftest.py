"""A sidecar in a known state, as the admin pages see it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from admin.metrics import ProxyMetrics
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


class Clock:
    """Monotonic seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class FixedSources:
    """Sources that always return the same views, but for what is forced."""

    service_views: Sequence[ServiceView]
    app_views: Sequence[AppView]
    eureka_view: EurekaView
    proxy_view: ProxyView
    info_view: InfoView

    def services(self) -> Sequence[ServiceView]:
        return self.service_views

    def commands(self) -> Iterator[CommandView]:
        return (command for service in self.service_views for command in service.commands)

    def pools(self) -> Iterator[PoolView]:
        return (service.pool for service in self.service_views)

    def force_breaker(self, key: str, force: Force) -> CommandView | None:
        def forced(command: CommandView) -> CommandView:
            if command.key != key or not command.breaker.enabled:
                return command
            return replace(command, breaker=replace(command.breaker, force=force))

        services = self.service_views
        self.service_views = [replace(each, commands=list(map(forced, each.commands))) for each in services]
        return next((command for command in self.commands() if command.key == key), None)

    def service(self, name: str) -> ServiceView | None:
        return next((view for view in self.service_views if view.name == name), None)

    def apps(self) -> Sequence[AppView]:
        return self.app_views

    def eureka(self) -> EurekaView:
        return self.eureka_view

    def proxy(self) -> ProxyView:
        return self.proxy_view

    def info(self) -> InfoView:
        return self.info_view


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> ProxyMetrics:
    return ProxyMetrics(clock)


@pytest.fixture
def app() -> AppView:
    return AppView(
        name="orders",
        status="UP",
        healthy=True,
        reason="",
        last_failure="",
        last_failure_age_s=None,
        host="127.0.0.1",
        port=5000,
    )


@pytest.fixture
def eureka() -> EurekaView:
    return EurekaView(
        enabled=True,
        registering=True,
        apps=1,
        apps_registered=1,
        fetching=True,
        read=True,
        problem="",
        last_heartbeat_epoch_s=1_800_000_000.5,
        last_fetch_age_s=4.25,
        heartbeats_total=7,
        heartbeat_failures_total=2,
        registrations_total=1,
        fetches_total=9,
        fetch_failures_total=3,
        instances=5,
        services=4,
        restored=False,
        held_instances=2,
        refused_instances={"loopback": 3, "own_port": 1},
        servers=("http://***@eureka-1:8761/eureka/",),
    )


@pytest.fixture
def proxy() -> ProxyView:
    return ProxyView(listening=("127.0.0.1:8078",), draining=False, warming_up=False, connections=3, in_flight=2)


@pytest.fixture
def breaker() -> BreakerView:
    return BreakerView(
        enabled=True,
        state="closed",
        is_open=False,
        force="none",
        mode="eager",
        reason="",
        allows_request=True,
        error_percentage=25,
        error_count=10,
        request_count=40,
        slow_call_percentage=5,
        retry_after_s=0.0,
        request_volume_threshold=20,
        error_threshold_percentage=50,
        slow_call_threshold_percentage=80,
        slow_call_s=1.0,
        half_open_permits=1,
        ramp_s=0.0,
        sleep_window_s=5.0,
        window_s=10.0,
        health_interval_s=1.0,
    )


@pytest.fixture
def node() -> NodeView:
    return NodeView(
        instance_id="host-1:users:9001",
        host="10.0.0.1",
        port=9001,
        secure=False,
        zone="eu-1",
        near=True,
        status="UP",
        pending=2,
        load_ms=12.5,
        ejected=False,
        ejected_for_s=0.0,
        circuit_tripped=False,
        ejection_reason="",
        shadow_ejection_reason="latency",
        weight=1.0,
        consecutive_failures=1,
        successes_total=100,
        failures_total=4,
    )


@pytest.fixture
def command(metrics: ProxyMetrics, breaker: BreakerView) -> CommandView:
    return CommandView(
        key="users",
        breaker=breaker,
        in_flight=3,
        max_concurrent=512,
        adaptive=False,
        max_in_flight_seen=17,
        fallbacks_in_flight=2,
        fallback_max_concurrent=64,
        timeout_s=0.8,
        has_fallback=True,
        metrics=metrics.service("users").command("users"),
    )


@pytest.fixture
def pool() -> PoolView:
    return PoolView(
        name="users",
        in_use=2,
        open=5,
        largest=8,
        max_concurrent=512,
        max_in_flight_seen=17,
        executions=40,
        attempts_total=1234,
    )


@pytest.fixture
def service(metrics: ProxyMetrics, command: CommandView, node: NodeView, pool: PoolView) -> ServiceView:
    return ServiceView(
        name="users",
        source="eureka",
        known=True,
        rule="p2c-ewma",
        commands=[command],
        filtered_out=5,
        nodes=(node,),
        pool=pool,
        last_good=LastGoodView(answers=3, size_bytes=4096),
        panic=False,
        retry_budget_balance=99.5,
        metrics=metrics.service("users"),
    )


@pytest.fixture
def sources_of(service: ServiceView, app: AppView, eureka: EurekaView, proxy: ProxyView) -> Callable[..., FixedSources]:
    """Sources of the views above; each can be replaced by its keyword."""

    def build(
        services: Sequence[ServiceView] = (service,),
        apps: Sequence[AppView] = (app,),
        eureka: EurekaView = eureka,
        proxy: ProxyView = proxy,
    ) -> FixedSources:
        instances = [{"instanceId": app.name} for app in apps]
        info = InfoView("0.1.0", "3.11.7", "uvloop", "httptools", 1_800_000_000.0, instances)
        return FixedSources(services, apps, eureka, proxy, info)

    return build

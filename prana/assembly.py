"""One service put together: its balancer and budget, and a pipeline for each of its commands."""

from collections.abc import Callable, Mapping
from random import Random

from admin.metrics import CommandMetrics, ProxyMetrics, ServiceMetrics
from loadbalancer.balancer import Balancer, EjectionEvent
from loadbalancer.ejection import EjectionSettings
from loadbalancer.rules import rule_named
from prana.config.settings import CommandPolicy, ServicePolicy, Settings, Tls
from prana.fallback.chain import chain_of
from prana.filters.admit import Admit
from prana.filters.balance import Balance
from prana.filters.deadline import Deadline
from prana.filters.fallback import Fallback
from prana.filters.retry import Retry
from prana.journal import BreakerJournal, log_ejection, log_unverified
from prana.pipeline import service_pipeline
from prana.request import Handler
from prana.resilience.breaker import Breaker, BreakerSettings
from prana.resilience.budget import RetryBudget
from prana.resilience.bulkhead import Bulkhead
from prana.service import Command, Service
from prana.wire.client import AttemptTimes, Client
from prana.wire.tls import UpstreamTls
from registry.instance import Instance
from registry.ports import TlsMode


class Assembly:
    """Makes services as they are first called."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        tls: Mapping[Tls, UpstreamTls],
        metrics: ProxyMetrics,
        clock: Callable[[], float],
        rng: Random,
        files: Mapping[str, bytes],
    ) -> None:
        """`files` are the contents of those that fallbacks name."""
        self._settings = settings
        self._files = files
        self._client = client
        self._tls = tls
        self._metrics = metrics
        self._clock = clock
        self._rng = rng

    def __call__(self, name: str, instances: tuple[Instance, ...], static: bool) -> Service:
        policy = self._settings.policy_for(name)
        metrics = self._metrics.service(name)
        balancer = self._balancer(policy, metrics)
        balancer.update(instances)
        if not policy.tls.verify and policy.tls.mode != TlsMode.NEVER:
            log_unverified(name)
        budget = RetryBudget(self._clock, policy.retry.budget_ratio, policy.retry.budget_floor_per_s)
        command = self._command(name, policy, metrics.command(name))
        return Service(
            name=name,
            source="static" if static else "eureka",
            known=True,
            policy=policy,
            balancer=balancer,
            budget=budget,
            metrics=metrics,
            commands=[command],
            handler=self._pipeline(command, policy, balancer, budget, metrics),
        )

    def _balancer(self, policy: ServicePolicy, metrics: ServiceMetrics) -> Balancer:
        def on_ejection(event: EjectionEvent) -> None:
            if event.ejected:
                metrics.node_ejected()
            log_ejection(metrics.name, event)

        rule = rule_named(policy.balancer.rule, self._rng)
        return Balancer(rule, _ejection(policy), self._clock, self._rng, on_ejection)

    def _command(self, key: str, policy: CommandPolicy, metrics: CommandMetrics) -> Command:
        return Command(
            key=key,
            timeout_s=policy.timeout,
            breaker=Breaker(key, _breaker(policy), self._clock, [BreakerJournal(key)]),
            bulkhead=Bulkhead(policy.max_concurrent, self._clock),
            fallback_bulkhead=Bulkhead(policy.fallback_max_concurrent, self._clock),
            metrics=metrics,
        )

    def _pipeline(
        self, command: Command, policy: ServicePolicy, balancer: Balancer, budget: RetryBudget, metrics: ServiceMetrics
    ) -> Handler:
        clock, retry = self._clock, policy.retry
        times = AttemptTimes(policy.attempt_timeout, policy.connect_timeout)
        return service_pipeline(
            Fallback(chain_of(policy.fallback, self._files), command.fallback_bulkhead, command.metrics),
            Admit(command.breaker, command.bulkhead, command.metrics, clock),
            Deadline(policy.timeout),
            Retry(retry.max_retries, retry.statuses, retry.replay_bytes, budget, metrics, clock),
            Balance(balancer, self._client, times, metrics, clock, self._tls[policy.tls]),
        )


def _ejection(policy: ServicePolicy) -> EjectionSettings:
    eject = policy.eject
    return EjectionSettings(
        consecutive_failures=eject.consecutive_failures,
        min_success_ratio=eject.min_success_ratio,
        min_requests=eject.min_requests,
        window_s=eject.window,
        base_s=eject.base,
        max_s=eject.max,
        max_ejected_percent=eject.max_ejected_percent,
    )


def _breaker(policy: CommandPolicy) -> BreakerSettings:
    breaker = policy.breaker
    return BreakerSettings(
        enabled=breaker.enabled,
        window_s=breaker.window,
        request_volume=breaker.request_volume,
        error_percentage=breaker.error_percentage,
        sleep_window_s=breaker.sleep_window,
    )

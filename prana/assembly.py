"""One service put together: its balancer and budget, and a pipeline for each of its commands."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import NamedTuple

import msgspec

from admin.metrics import ProxyMetrics, ServiceMetrics
from loadbalancer.balancer import Balancer, Event
from loadbalancer.ejection import EjectionSettings
from loadbalancer.judge import EjectionEvent
from prana.balancing import make_balancer
from prana.config.settings import CommandPolicy, CommandRetry, RoutePolicy, ServicePolicy, Settings, Tls
from prana.fallback.chain import Chains, last_good_of
from prana.fallback.substitute import Substitute
from prana.filters.admit import Admit
from prana.filters.balance import Balance
from prana.filters.deadline import Deadline
from prana.filters.fallback import Fallback
from prana.filters.hedge import Hedge
from prana.filters.remember import Remember
from prana.filters.retry import Retry
from prana.filters.single_flight import SingleFlight
from prana.identity import client_identity
from prana.journal import BreakerJournal, log_balancing, log_unverified
from prana.pipeline import service_pipeline
from prana.resilience.answers import AnswerTimes
from prana.resilience.breaker import Breaker, BreakerSettings
from prana.resilience.budget import RetryBudget
from prana.resilience.bulkhead import Bulkhead
from prana.resilience.gradient import AdaptiveSettings, Gradient2
from prana.resilience.repeatable import Repeatable
from prana.routes import Routes
from prana.service import Command, Service
from prana.wire.client import AttemptTimes, Client
from prana.wire.tls import UpstreamTls
from registry.instance import Instance
from registry.ports import TlsMode


class _Shared(NamedTuple):
    """What all commands of a service use: its nodes, and what protects them. A node that fails fails for every route,
    and a budget of each would let a service with many routes be called many times as often."""

    balancer: Balancer
    budget: RetryBudget
    metrics: ServiceMetrics
    tls: UpstreamTls


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
        chains: Chains,
    ) -> None:
        self._settings = settings
        self._chains = chains
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
        shared = _Shared(balancer, budget, metrics, self._tls[policy.tls])
        chain = self._chains.chain_of(policy.fallback)
        own = self._command(name, policy, shared, chain)
        routes = []
        for route in policy.routes:
            inherited = route.fallback is policy.fallback  # then they share what it keeps, too
            its_chain = chain if inherited else self._chains.chain_of(route.fallback)
            routes.append((route, self._command(f"{name}:{route.label}", route, shared, its_chain)))
        return Service(
            name=name,
            source="static" if static else "eureka",
            known=True,
            policy=policy,
            balancer=balancer,
            budget=budget,
            metrics=metrics,
            own=own,
            routes=Routes(routes) if routes else None,
        )

    def _balancer(self, policy: ServicePolicy, metrics: ServiceMetrics) -> Balancer:
        def on_event(event: Event) -> None:
            if isinstance(event, EjectionEvent) and event.ejected:
                metrics.node_ejected(event.reason, event.shadow)
            log_balancing(metrics.name, event)

        return make_balancer(
            policy.balancer,
            msgspec.convert(policy.eject, EjectionSettings, from_attributes=True),
            self._clock,
            self._rng,
            on_event,
            own_zone=self._settings.own_zone,
            client=client_identity(self._settings),
        )

    def _command(
        self, key: str, policy: ServicePolicy | RoutePolicy, shared: _Shared, chain: Sequence[Substitute]
    ) -> Command:
        clock, metrics, answers = self._clock, shared.metrics.command(key), AnswerTimes(self._clock)
        breaker: Breaker = Breaker(key, _breaker(policy), clock, [BreakerJournal(key, lambda: breaker.reason)])
        adaptive = Gradient2(_adaptive(policy), clock) if policy.adaptive.enabled else None
        bulkhead = Bulkhead(policy.adaptive.initial if adaptive else policy.max_concurrent, clock)
        fallback_bulkhead = Bulkhead(policy.fallback_max_concurrent, clock)
        times = AttemptTimes(policy.attempt_timeout, policy.connect_timeout)
        balance = Balance(shared.balancer, self._client, times, answers, shared.metrics, clock, shared.tls)
        last_good = last_good_of(chain)
        handler = service_pipeline(
            Fallback(chain, fallback_bulkhead, metrics),
            SingleFlight(policy.timeout, metrics, clock) if policy.single_flight else None,
            Remember(last_good) if last_good else None,
            Deadline(policy.timeout, answers, shared.metrics, clock),
            Admit(breaker, bulkhead, metrics, clock, adaptive),
            self._retry(policy, shared, answers, balance),
            self._hedge(policy, shared, answers, balance),
            balance,
        )
        return Command(
            key=key,
            policy=policy,
            breaker=breaker,
            bulkhead=bulkhead,
            fallback_bulkhead=fallback_bulkhead,
            last_good=last_good,
            metrics=metrics,
            handler=handler,
        )

    def _retry(self, policy: CommandPolicy, shared: _Shared, answers: AnswerTimes, balance: Balance) -> Retry | None:
        """Also without retries where there are hedges, whose requests it counts for the budget."""
        settings = policy.retry
        if not settings.enabled:
            if not policy.hedge.enabled:
                return None
            settings = msgspec.structs.replace(settings, max_retries=0)
        return Retry(
            settings,
            _repeatable(settings),
            shared.budget,
            answers,
            balance.elsewhere,
            shared.metrics,
            self._clock,
            self._rng,
        )

    def _hedge(self, policy: CommandPolicy, shared: _Shared, answers: AnswerTimes, balance: Balance) -> Hedge | None:
        if not policy.hedge.enabled:
            return None
        return Hedge(
            policy.hedge,
            policy.retry.statuses,
            _repeatable(policy.retry),
            shared.budget,
            answers,
            balance.elsewhere,
            shared.metrics,
            self._clock,
        )


def _repeatable(retry: CommandRetry) -> Repeatable:
    return Repeatable(retry.methods, by_key=retry.idempotency_key)


def _adaptive(policy: CommandPolicy) -> AdaptiveSettings:
    adaptive = policy.adaptive
    return AdaptiveSettings(adaptive.min, adaptive.max, adaptive.initial)


def _breaker(policy: CommandPolicy) -> BreakerSettings:
    breaker = policy.breaker
    return BreakerSettings(
        enabled=breaker.enabled,
        window_s=breaker.window,
        request_volume=breaker.request_volume,
        error_percentage=breaker.error_percentage,
        sleep_window_s=breaker.sleep_window,
        mode=breaker.mode,
        health_interval_s=breaker.health_interval,
        force=breaker.force,
        slow_call_percentage=breaker.slow_call_percentage,
        slow_call_s=breaker.slow_call_duration,
        half_open_permits=breaker.half_open_permits,
        max_trial_s=policy.timeout + breaker.sleep_window,  # the timeout alone would be about to end it
        ramp_s=breaker.ramp,
    )

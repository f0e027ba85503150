"""What the settings of a balancer mean: its rule, whom it calls, and which figures it keeps."""

from collections.abc import Callable
from functools import partial
from random import Random

from loadbalancer.balancer import Balancer, Event
from loadbalancer.ejection import EjectionSettings
from loadbalancer.rules import RibbonTuning, rule_named, wants_stats
from loadbalancer.scope import AffinityLimits, Scope, ZoneFilter
from loadbalancer.stats import CircuitSettings, ServerStats
from loadbalancer.subset import Ranking
from loadbalancer.zones import ZoneAvoidance
from prana.config import settings


def make_balancer(
    configured: settings.Balancer,
    ejection: EjectionSettings,
    clock: Callable[[], float],
    rng: Random,
    on_event: Callable[[Event], None],
    *,
    own_zone: str,
    client: str,
) -> Balancer:
    """`client` tells this sidecar from others, for a subset of its own."""
    ribbon = configured.ribbon
    rule = rule_named(configured.rule, rng, _tuning(ribbon))
    make_stats = partial(ServerStats, _circuit(ribbon), clock) if wants_stats(configured.rule) else None
    scope = _scope(configured, own_zone, client)
    # Ribbon's rules know nothing of it.
    slow_start_s = configured.slow_start if configured.rule in settings.P2C_RULES else 0.0
    return Balancer(rule, ejection, clock, rng, on_event, scope, make_stats, slow_start_s)


def _scope(configured: settings.Balancer, own_zone: str, client: str) -> Scope | None:
    zone_filter = ZoneFilter(configured.zone_filter)
    if zone_filter is ZoneFilter.NONE and not configured.subset:
        return None
    ribbon = configured.ribbon
    limits = AffinityLimits(
        max_blackout_ratio=ribbon.affinity_max_blackout_ratio,
        max_load=ribbon.affinity_max_load,
        min_available=ribbon.affinity_min_available,
    )
    return Scope(zone_filter, own_zone, limits, Ranking(client), configured.subset)


def _tuning(ribbon: settings.Ribbon) -> RibbonTuning:
    return RibbonTuning(
        filter_circuit_tripped=ribbon.filter_circuit_tripped,
        active_limit=ribbon.active_connections_limit,
        weight_interval_s=ribbon.weight_interval,
        retry_for_s=ribbon.retry_for,
        avoidance=ZoneAvoidance(ribbon.avoid_zone_blackout_ratio, ribbon.avoid_zone_load),
    )


def _circuit(ribbon: settings.Ribbon) -> CircuitSettings:
    return CircuitSettings(
        failures=ribbon.connection_failure_threshold,
        factor_s=ribbon.trip_factor,
        max_s=ribbon.trip_max,
        active_window_s=ribbon.active_requests_window,
    )

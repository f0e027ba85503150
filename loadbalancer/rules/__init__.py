"""How to choose among nodes, by the name used in the configuration (Ribbon's class name where Ribbon has the rule)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from loadbalancer.availability import AvailabilityPredicate
from loadbalancer.balancer import Rule
from loadbalancer.rules.availability_filtering import AvailabilityFilteringRule
from loadbalancer.rules.best_available import BestAvailableRule
from loadbalancer.rules.p2c_ewma import P2cEwma
from loadbalancer.rules.p2c_least_request import P2cLeastRequest
from loadbalancer.rules.random_rule import RandomRule
from loadbalancer.rules.retry_rule import RetryRule
from loadbalancer.rules.round_robin import RoundRobinRule
from loadbalancer.rules.weighted_response_time import WeightedResponseTimeRule
from loadbalancer.rules.zone_avoidance import ZoneAvoidanceRule
from loadbalancer.zones import ZoneAvoidance, ZoneAwareRule


@dataclass(frozen=True, slots=True)
class RibbonTuning:
    """What Ribbon's rules can be told, with Ribbon's defaults."""

    filter_circuit_tripped: bool = True
    active_limit: int = 0  # requests under way at one node; 0: any number
    weight_interval_s: float = 30.0
    retry_for_s: float = 0.5
    avoidance: ZoneAvoidance = field(default_factory=ZoneAvoidance)

    def available(self) -> AvailabilityPredicate:
        return AvailabilityPredicate(self.filter_circuit_tripped, self.active_limit)


RIBBON_DEFAULTS = RibbonTuning()

_P2C_RULES: Mapping[str, Callable[[Random], Rule]] = {
    "p2c-ewma": P2cEwma,
    "p2c-least-request": P2cLeastRequest,
}
_RIBBON_RULES: Mapping[str, Callable[[Random, RibbonTuning], Rule]] = {
    "RoundRobinRule": lambda rng, ribbon: RoundRobinRule(),
    "RandomRule": lambda rng, ribbon: RandomRule(rng),
    "WeightedResponseTimeRule": lambda rng, ribbon: WeightedResponseTimeRule(rng, ribbon.weight_interval_s),
    "BestAvailableRule": lambda rng, ribbon: BestAvailableRule(),
    "AvailabilityFilteringRule": lambda rng, ribbon: AvailabilityFilteringRule(ribbon.available()),
    "ZoneAvoidanceRule": lambda rng, ribbon: ZoneAvoidanceRule(ribbon.available(), ribbon.avoidance, rng),
    "RetryRule": lambda rng, ribbon: RetryRule(ribbon.retry_for_s > 0),
}
RULES = (*_P2C_RULES, *_RIBBON_RULES)


def wants_stats(name: str) -> bool:
    """Whether the rule reads ServerStats of the nodes, itself or to avoid zones."""
    return name in _RIBBON_RULES


def rule_named(name: str, rng: Random, ribbon: RibbonTuning = RIBBON_DEFAULTS) -> Rule:
    """A new rule for one service; Ribbon's avoid zones, as they do in its ZoneAwareLoadBalancer. ValueError names the
    rules there are."""
    make = _P2C_RULES.get(name)
    if make is not None:
        return make(rng)
    make_ribbon = _RIBBON_RULES.get(name)
    if make_ribbon is None:
        raise ValueError(f"unknown balancer rule {name!r}, use one of: {', '.join(RULES)}")
    return ZoneAwareRule(lambda: make_ribbon(rng, ribbon), ribbon.avoidance, rng)

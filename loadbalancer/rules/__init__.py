"""How to choose among nodes, by the name used in the configuration (Ribbon's class name where Ribbon has the rule)."""

from collections.abc import Callable
from random import Random

from loadbalancer.balancer import Rule
from loadbalancer.rules.p2c_ewma import P2cEwma
from loadbalancer.rules.round_robin import RoundRobinRule

_RULES: dict[str, Callable[[Random], Rule]] = {
    "p2c-ewma": P2cEwma,
    "RoundRobinRule": lambda _: RoundRobinRule(),
}


def rule_named(name: str, rng: Random) -> Rule:
    """A new rule for one service. ValueError names the rules there are."""
    make = _RULES.get(name)
    if make is None:
        raise ValueError(f"unknown balancer rule {name!r}, use one of: {', '.join(_RULES)}")
    return make(rng)

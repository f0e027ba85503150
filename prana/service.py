"""Everything the sidecar holds about one service it calls."""

from dataclasses import dataclass
from typing import Literal

from admin.metrics import ServiceMetrics
from loadbalancer.balancer import Balancer
from prana.config.settings import ServicePolicy
from prana.request import Handler
from prana.resilience.breaker import Breaker
from prana.resilience.budget import RetryBudget
from prana.resilience.bulkhead import Bulkhead


@dataclass(slots=True)
class Service:
    """Made on first use of a known name, kept while the process lives."""

    name: str  # lower case
    source: Literal["eureka", "static"]
    known: bool  # False: it has left the registry
    policy: ServicePolicy
    balancer: Balancer
    breaker: Breaker
    bulkhead: Bulkhead
    budget: RetryBudget
    metrics: ServiceMetrics
    handler: Handler

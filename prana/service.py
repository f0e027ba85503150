"""Everything the sidecar holds about one service it calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from admin.metrics import CommandMetrics, ServiceMetrics
from loadbalancer.balancer import Balancer
from prana.config.settings import RoutePolicy, ServicePolicy
from prana.fallback.last_good import LastGood
from prana.request import Handler
from prana.resilience.breaker import Breaker
from prana.resilience.budget import RetryBudget
from prana.resilience.bulkhead import Bulkhead
from prana.routes import Routes


@dataclass(slots=True)
class Command:
    """What fails, is refused and is measured as one, as a HystrixCommand: a service, or one of its routes."""

    key: str  # the service's name, and for a route ":" and the route's
    policy: ServicePolicy | RoutePolicy
    breaker: Breaker
    bulkhead: Bulkhead
    fallback_bulkhead: Bulkhead
    last_good: LastGood | None  # a route's is its service's where it has no fallback of its own
    metrics: CommandMetrics
    handler: Handler


@dataclass(slots=True)
class Service:
    """Made on first use of a known name, kept while the process lives."""

    name: str  # lower case
    source: Literal["eureka", "static"]
    known: bool  # False: it has left the registry
    policy: ServicePolicy
    balancer: Balancer
    budget: RetryBudget
    metrics: ServiceMetrics
    own: Command  # of what no route takes
    routes: Routes[Command] | None  # None: the service has none, and its requests are not looked at

    @property
    def commands(self) -> Sequence[Command]:
        """The service's own first."""
        return [self.own, *(self.routes.targets if self.routes is not None else ())]

    def command_of(self, method: bytes, path: bytes) -> Command:
        """What executes such a request."""
        if self.routes is None:
            return self.own
        return self.routes.first(method, path) or self.own

"""What a balancer is told that nothing can come of."""

from collections.abc import Container, Iterator, Sequence

from prana.config.finding import Finding
from prana.config.positions import Path
from prana.config.settings import RIBBON_RULES, Balancer, Ribbon, Settings


def balancing_findings(settings: Settings, given: Container[Path]) -> Iterator[Finding]:
    """Of what was written and is no default; what stands in the defaults may be for some service only."""
    defaults, services = settings.defaults.balancer, settings.services
    balancers: list[tuple[Path, Balancer]] = [(("defaults", "balancer"), defaults)]
    balancers += [(("services", name, "balancer"), service.balancer) for name, service in services.items()]
    for at, balancer in balancers:
        takers = [each for _, each in balancers] if balancer is defaults else [balancer]
        changed = [key for key in Ribbon.__struct_fields__ if getattr(balancer.ribbon, key) != getattr(Ribbon(), key)]
        yield from _unused(at, takers, [key for key in changed if (*at, "ribbon", key) in given])
        path = (*at, "zone_filter")
        if path in given and balancer.zone_filter != "none" and not settings.own_zone:
            message = (
                f"is {balancer.zone_filter}, but our own zone is not known, so instances of all zones are called; "
                "give eureka.zone or metadata.zone of the app"
            )
            yield Finding((path, ("eureka", "zone")), message, warning=True)


def _unused(at: Path, balancers: Sequence[Balancer], keys: Sequence[str]) -> Iterator[Finding]:
    """Tuning below `at` that none of those that may take it over reads."""
    ribbon_rule = any(balancer.rule in RIBBON_RULES for balancer in balancers)
    affinity = any(balancer.zone_filter == "affinity" for balancer in balancers)
    for key in keys:
        of_affinity = key.startswith("affinity_")
        if not (affinity if of_affinity else ribbon_rule):
            reader = 'zone_filter = "affinity"' if of_affinity else "one of Ribbon's rules"
            yield Finding(((*at, "ribbon", key), (*at, "rule")), f"has no effect without {reader}", warning=True)

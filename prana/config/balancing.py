"""What a balancer is told that nothing, or nothing good, can come of."""

from collections.abc import Container, Iterator, Sequence

from prana.config.finding import Finding
from prana.config.positions import Path
from prana.config.settings import RIBBON_RULES, Balancer, Ribbon, Settings


def balancing_findings(settings: Settings, given: Container[Path]) -> Iterator[Finding]:
    """Of what was written, all of it warnings; what stands in the defaults may be for some service only."""
    defaults = settings.defaults.balancer
    own: list[tuple[Path, Balancer]]
    own = [(("services", name, "balancer"), service.balancer) for name, service in settings.services.items()]
    yield from _tuning(("defaults", "balancer"), defaults.ribbon, [defaults, *(each for _, each in own)], given)
    for at, balancer in own:
        yield from _tuning(at, balancer.ribbon, [balancer], given)
        if (*at, "slow_start") in given and balancer.rule in RIBBON_RULES:
            message = "has no effect with one of Ribbon's rules"
            yield Finding(((*at, "slow_start"), (*at, "rule")), message, warning=True)
    if settings.own_zone:
        yield from _instances_of_no_zone(settings)
        return
    for at, balancer in [(("defaults", "balancer"), defaults), *own]:
        if (*at, "zone_filter") in given and balancer.zone_filter != "none":
            message = (
                f"is {balancer.zone_filter}, but our own zone is not known, so instances of all zones are called; "
                "give eureka.zone or metadata.zone of the app"
            )
            yield Finding(((*at, "zone_filter"), ("eureka", "zone")), message, warning=True)


def _instances_of_no_zone(settings: Settings) -> Iterator[Finding]:
    for name, service in settings.services.items():
        if service.instances and service.balancer.zone_filter == "exclusivity":
            message = "have no zone, so none of them is called; choose another balancer.zone_filter for this service"
            yield Finding((("services", name, "instances"),), message, warning=True)


def _tuning(at: Path, ribbon: Ribbon, takers: Sequence[Balancer], given: Container[Path]) -> Iterator[Finding]:
    """What was changed below `at` and none of those that take it over reads."""
    ribbon_rule = any(balancer.rule in RIBBON_RULES for balancer in takers)
    affinity = any(balancer.zone_filter == "affinity" for balancer in takers)
    for key in Ribbon.__struct_fields__:
        path, of_affinity = (*at, "ribbon", key), key.startswith("affinity_")
        if path not in given or getattr(ribbon, key) == getattr(Ribbon(), key):
            continue
        if not (affinity if of_affinity else ribbon_rule):
            reader = 'zone_filter = "affinity"' if of_affinity else "one of Ribbon's rules"
            yield Finding((path, (*at, "rule")), f"has no effect without {reader}", warning=True)

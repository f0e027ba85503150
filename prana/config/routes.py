"""What is wrong, or doubtful, with which requests the routes of a service take."""

import re
from collections.abc import Iterator, Sequence

from prana.config.finding import Finding
from prana.config.matching import below
from prana.config.positions import Path
from prana.config.settings import RoutePolicy
from prana.config.sources import dotted

Located = tuple[Path, RoutePolicy]


def route_findings(routes: Sequence[Located]) -> Iterator[Finding]:
    """Of all routes of one service, with their paths, in the order in which they are tried."""
    called: dict[str, Path] = {}
    for at, route in routes:
        takes = tuple((*at, key) for key in ("methods", "prefix", "pattern"))
        if route.prefix and route.pattern:
            message = f"is given beside {dotted((*at, 'pattern'))}; allowed is one of them"
            yield Finding(takes[1:], message)
        if not (route.methods or route.prefix or route.pattern):
            message = 'takes every request; give methods, prefix or pattern, or prefix = "/" to mean it'
            yield Finding((at, *takes), message)
        first_at = called.setdefault(route.label, at)
        if first_at != at:
            message = f"is called {route.label}, as is {dotted(first_at)}; give each a name of its own"
            yield Finding(((*at, "name"), at, *takes), message)
    for index, (at, route) in enumerate(routes):
        if before := _shadowing(route, routes[:index]):
            message = f"is never reached: what it takes goes to {' and '.join(map(dotted, before))}, tried before it"
            yield Finding((at,), message, warning=True)


def _shadowing(route: RoutePolicy, before: Sequence[Located]) -> list[Path]:
    """The routes of those before it that together take all that it would; none when something is left."""
    covering = [(at, each) for at, each in before if _covers(each, route)]
    for at, each in covering:
        if not each.methods:
            return [at]
    left, taking = set(route.methods), []
    for at, each in covering:
        if left & each.methods:
            taking.append(at)
            left -= each.methods
    return taking if not left else []


def _covers(route: RoutePolicy, other: RoutePolicy) -> bool:
    """Whether every path of the other is one of this route, as far as prefixes tell."""
    if route.pattern:
        return route.pattern == other.pattern
    begins = _literal(other.pattern) if other.pattern else below(other.prefix)
    return begins.startswith(below(route.prefix))


def _literal(pattern: str) -> str:
    """What every path that a pattern takes begins with, as far as that is plain to see."""
    if "|" in pattern:
        return "/"
    plain = re.match(r"(?:[A-Za-z0-9/_-](?![*?{]))*", pattern)
    return plain[0] if plain is not None and plain[0] else "/"

"""Properties for one route of a service, such as `hystrix.command.orders:slow.…`, laid on the table of that route."""

from collections.abc import Iterable
from dataclasses import dataclass

from prana.config.positions import Path
from prana.config.reading import Reading
from prana.config.settings import RoutePolicy, Settings
from prana.config.shapes import branch, shape_at
from prana.config.sources import Origin, Problem, Text, dotted


@dataclass(frozen=True, slots=True)
class ForRoute:
    """A value for a key of the route that has this label, both names in lower case."""

    service: str
    label: str
    key: tuple[str, ...]
    value: Text
    origin: Origin


def lay_on_routes(reading: Reading, properties: Iterable[ForRoute]) -> list[Problem]:
    """Sets what the routes do not say themselves, after everything is read; answers with those that are for no route.

    Of several for the same key the last counts.
    """
    left = []
    for each in reversed(list(properties)):
        routes = {_label(reading, at): at for at in reading.tables_at(("services", each.service, "routes"))}
        if each.label not in routes:
            known = f"; its routes are {', '.join(routes)}" if routes else ""
            left.append(Problem(each.origin, f"has no counterpart: {each.service} has no route {each.label}{known}"))
            continue
        path = (*routes[each.label], *each.key)
        if shape_at(branch(Settings), path) is None:
            own = dotted(("services", each.service, *each.key))
            left.append(Problem(each.origin, f"has no counterpart: it is the same for all routes, {own}"))
        elif path not in reading.values:
            reading.put(path, each.value, each.origin, Settings)
    return left


def _label(reading: Reading, at: Path) -> str:
    keys = ("name", "methods", "prefix", "pattern")
    return RoutePolicy(**{key: reading.values[*at, key] for key in keys if (*at, key) in reading.values}).label

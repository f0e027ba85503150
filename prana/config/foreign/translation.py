"""From foreign properties to sources of our own keys, by the tables of `netflix` and `spring`."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from prana.config.foreign import netflix, spring
from prana.config.foreign.conversions import NoCounterpart, Unreadable
from prana.config.foreign.families import Family, Match, Row
from prana.config.foreign.routes import ForRoute
from prana.config.settings import Settings
from prana.config.shapes import branch, shape_at
from prana.config.sources import Origin, Problem, Source, Text, single

# A name is the first family's that knows it; of two that set the same key, the later is the stronger.
FAMILIES = (*spring.ZUUL_FAMILIES, *netflix.FAMILIES, *spring.FAMILIES)

_COMMAND = re.compile(r"[A-Za-z0-9._-]{1,128}(:[A-Za-z0-9._-]{1,128})?")


@dataclass(frozen=True, slots=True)
class Given:
    """The value of a property and where it was written."""

    value: str
    origin: Origin


# What stands at the placeholders of a name, and the properties there by the names of their row.
Places = Mapping[tuple[str, ...], Mapping[str, Given]]


@dataclass(frozen=True, slots=True)
class Translation:
    """What sets our keys, the weakest first; values that cannot be read; properties without a counterpart, and why."""

    sources: list[Source] = field(default_factory=list)
    for_routes: list[ForRoute] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    without_counterpart: list[Problem] = field(default_factory=list)


def translate(properties: Mapping[str, Given]) -> Translation:
    """What these properties set, and what they do not. Those that are the app's own are left alone."""
    result = Translation()
    rows: dict[Row, dict[tuple[str, ...], dict[str, Given]]] = defaultdict(lambda: defaultdict(dict))
    for name, given in properties.items():
        matches = matches_of(name)
        for match in matches:
            rows[match.row][match.place][match.name] = given
        if not matches and (hint := _hint(name)):
            result.without_counterpart.append(Problem(given.origin, hint))
    for family in FAMILIES:
        for row in family.rows:
            if row in rows:
                _translate(family, row, _counting(family, row, rows[row], properties, result), result)
    return result


def _counting(family: Family, row: Row, places: Places, properties: Mapping[str, Given], result: Translation) -> Places:
    """Of these places the one that counts, where a property says which."""
    named = properties.get(family.prefix + row.place_in) if row.place_in else None
    if named is None:
        return places
    counting = (named.value.strip(),)
    others = chain.from_iterable(own.values() for place, own in places.items() if place != counting)
    _leave(f"{family.prefix}{row.place_in} is {counting[0]}", others, result)
    return {place: own for place, own in places.items() if place == counting}


def matches_of(name: str) -> list[Match]:
    """What the tables know of a name: nothing, or its row, or the rows that share it."""
    return next((matches for family in FAMILIES if (matches := family.matches(name))), [])


def _hint(name: str) -> str | None:
    """Of a name that belongs to one of the families but is not known, by the family with the longest prefix."""
    if re.fullmatch(r"hystrix\.command\.[^.]+", name):
        return r"names nothing of the command; in a .properties file a colon in a name is written \:"
    suggestions = [suggestion for family in FAMILIES if (suggestion := family.suggestion(name))]
    if not suggestions:
        return None
    _, guess = max(suggestions)
    return f"is not known; did you mean {guess}?" if guess else "is not known"


def _translate(family: Family, row: Row, places: Places, result: Translation) -> None:
    if not row.path:
        given = [each for own in places.values() for each in own.values()]
        _leave(row.note, [each for each in given if each.value.strip() not in row.agrees], result)
        return
    everywhere: list[tuple[str, ...]] = [(name,) for name in family.everywhere]
    common = _merged(places.get(place, {}) for place in everywhere)
    if common:
        _set(family.path(row, everywhere[0]), row, common, common, result)
    for place, own in places.items():
        if place not in everywhere:
            # As in Hystrix, what is not given for a service is what is given for all of them.
            _set(family.path(row, place), row, own, _merged((common, own)), result)


def _merged(each: Iterable[Mapping[str, Given]]) -> dict[str, Given]:
    return dict(chain.from_iterable(one.items() for one in each))


def _set(
    path: tuple[str, ...], row: Row, own: Mapping[str, Given], given: Mapping[str, Given], result: Translation
) -> None:
    """`own` are the properties that this is about, `given` all that count."""
    if references := [each.origin for each in own.values() if "${" in each.value]:
        message = "has a reference, ${...}, which is not resolved here; write what it stands for"
        result.problems.extend(Problem(origin, message) for origin in references)
        return
    try:
        _check(path)
        text = row.read(*(given[name].value.strip() if name in given else None for name in row.names))
    except NoCounterpart as reason:
        _leave(str(reason), own.values(), result)
    except Unreadable as error:
        found = (Problem(each.origin, str(error)) for each in own.values() if each.value.strip() == error.value)
        result.problems.extend(problem for problem in found if problem not in result.problems)  # rows may share a name
    else:
        if text is not None:
            _store(path, Text(text), next(own[name].origin for name in row.names if name in own), result)


def _check(path: tuple[str, ...]) -> None:
    if path[0] == "services" and not _COMMAND.fullmatch(path[1]):
        raise NoCounterpart(f"{path[1]} is no service; name one as it is called here, or a route as service:route")
    if shape_at(branch(Settings), path) is None:
        raise NoCounterpart(f"every service has {path[-1]} of its own; write its name in front of .ribbon")


def _store(path: tuple[str, ...], value: Text, origin: Origin, result: Translation) -> None:
    if path[0] == "services" and ":" in path[1]:
        service, _, label = path[1].lower().partition(":")
        result.for_routes.append(ForRoute(service, label, path[2:], value, origin))
    else:
        result.sources.append(single(path, value, origin))


def _leave(reason: str, given: Iterable[Given], result: Translation) -> None:
    result.without_counterpart.extend(Problem(each.origin, f"has no counterpart: {reason}") for each in given)

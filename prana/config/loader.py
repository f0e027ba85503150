"""From a file, the environment and flags to `Settings`, or to the list of everything that is wrong with them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path as FilePath
from typing import Any

from msgspec import structs

from prana.config.consistency import findings
from prana.config.finding import Finding
from prana.config.flat import from_properties
from prana.config.foreign.routes import lay_on_routes
from prana.config.foreign.translation import Given, Translation, translate
from prana.config.inheritance import inheritance
from prana.config.positions import Path
from prana.config.reading import Reading
from prana.config.settings import RoutePolicy, ServicePolicy, Settings
from prana.config.shapes import Branch, Shape, Table, Tables, branch
from prana.config.sources import (
    DEFAULT,
    FlagValue,
    Origin,
    Problem,
    Source,
    Unreadable,
    dotted,
    from_environment,
    from_file,
    from_flags,
)


class ConfigError(Exception):
    """A configuration that cannot be used; its text is one line for every problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Loaded:
    """A usable configuration. `origins` has the paths that were written somewhere; warnings stop nothing.

    `without_counterpart` are the foreign properties that nothing here stands for.
    """

    settings: Settings
    origins: Mapping[Path, Origin]
    warnings: Sequence[Problem]
    without_counterpart: Sequence[Problem]

    def origin(self, path: Path) -> Origin:
        """Where the value of a key comes from; a route's may come from its service, and that from the defaults."""
        for each in inheritance(path):
            if each in self.origins:
                return self.origins[each]
            if "fallback" in each[2:] and self._written(each[: each.index("fallback", 2) + 1]):
                break  # a chain is taken as a whole
        return DEFAULT

    def _written(self, table: Path) -> bool:
        return table in self.origins or (*table, 0) in self.origins


def load(file: FilePath | None, environ: Mapping[str, str], flags: Sequence[FlagValue] = ()) -> Loaded:
    """The configuration of these sources: flag > environment > file > default. Raises ConfigError.

    A file that cannot be read at all is one problem; what its keys might have been is then not guessed.
    """
    of_file, warnings, unreadable = _of_file(file)
    of_flags, problems = from_flags(flags)
    reading, translations = _read(of_file, from_environment(environ), of_flags)
    for_no_route = lay_on_routes(reading, chain.from_iterable(each.for_routes for each in translations))
    settings = _build(reading)
    found = [found for found in findings(settings, reading.origins) if reading.bad.isdisjoint(found.paths)]
    problems += [*unreadable, *_all(each.problems for each in translations), *reading.problems]
    if not unreadable:
        problems += [_problem(finding, reading.origins) for finding in found if not finding.warning]
    if problems:
        raise ConfigError(_all([problems]))
    warnings += [_problem(finding, reading.origins) for finding in found if finding.warning]
    without_counterpart = _all([for_no_route, *(each.without_counterpart for each in translations)])
    return Loaded(settings, reading.origins, warnings, without_counterpart)


def _all(problems: Iterable[Iterable[Problem]]) -> list[Problem]:
    """In the order of the file."""
    return sorted(chain.from_iterable(problems), key=lambda problem: problem.origin.line)


def _of_file(file: FilePath | None) -> tuple[Sequence[Source], list[Problem], list[Problem]]:
    """The sources of a file, warnings, and why it cannot be read at all."""
    try:
        if file is None:
            return (), [], []
        if file.suffix == ".properties":
            return *from_properties(file), []
        return (from_file(file),), [], []
    except Unreadable as error:
        return (), [], [error.problem]


def _read(*levels: Sequence[Source]) -> tuple[Reading, list[Translation]]:
    """What the levels say, the weakest first. In each, our own keys are stronger than what properties stand for."""
    reading, translations = Reading(), []
    for sources in levels:
        translation = translate(_properties(sources))
        for source in (*translation.sources, *sources):
            reading.add(source, Settings)
        translations.append(translation)
    return reading, translations


def _properties(sources: Sequence[Source]) -> dict[str, Given]:
    """The properties that sources of one level give, by name."""
    reading = Reading()
    for source in sources:
        if "properties" in source.tree:
            reading.add(replace(source, tree={"properties": source.tree["properties"]}), Settings)
    given = {}
    for path, value in reading.values.items():
        origin = reading.origins[path]
        place = ": ".join(filter(None, (origin.place, origin.key)))
        given[str(path[-1])] = Given(value, Origin(place, line=origin.line))
    return given


def _problem(finding: Finding, origins: Mapping[Path, Origin]) -> Problem:
    """A finding at the first of its keys that was written somewhere, or at the nearest table around them."""
    for path in finding.paths:
        if path in origins:
            return Problem(origins[path], finding.message)
    path = finding.paths[0]
    around = next((path[:length] for length in range(len(path), 0, -1) if path[:length] in origins), ())
    origin = origins.get(around, DEFAULT)
    return Problem(Origin(origin.place, dotted(path), origin.line), finding.message)


def _build(reading: Reading) -> Settings:
    settings: Settings = _struct(branch(Settings), (), Settings(), reading)
    inherited = ServicePolicy(**structs.asdict(settings.defaults))
    names = dict.fromkeys(str(path[1]) for path in reading.origins if path[0:1] == ("services",) and len(path) > 1)
    services = {name: _service(("services", name), inherited, reading) for name in names}
    return structs.replace(settings, services=services)


def _service(path: Path, inherited: ServicePolicy, reading: Reading) -> ServicePolicy:
    service: ServicePolicy = _struct(branch(ServicePolicy), path, inherited, reading)
    routes = _tables(branch(RoutePolicy), (*path, "routes"), service.as_route, reading)
    return structs.replace(service, routes=routes)


def _struct(shape: Branch, path: Path, base: Any, reading: Reading) -> Any:
    """`base` with what was read; None for a table that may be absent and was not written."""
    if base is None:
        if path not in reading.origins:
            return None
        base = shape.struct()
    return shape.make(_value(inner, (*path, key), value, reading) for key, inner, value in shape.values(base))


def _value(shape: Shape, path: Path, base: Any, reading: Reading) -> Any:
    match shape:
        case Branch():
            return _struct(shape, path, base, reading)
        case Tables(item):
            # As a whole: the tables of one array have nothing to do with those of another in the same places.
            return _tables(item, path, item.struct(), reading) or reading.values.get(path, base)
        case Table():
            return {at[-1]: value for at, value in reading.values.items() if at[:-1] == path}
        case _:
            return reading.values.get(path, base)


def _tables(item: Branch, path: Path, base: Any, reading: Reading) -> tuple[Any, ...]:
    return tuple(_struct(item, at, base, reading) for at in reading.tables_at(path))

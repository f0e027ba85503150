"""A .properties file as sources: names that are paths of our keys, and properties."""

from pathlib import Path as FilePath

from prana.config.kinds import quoted
from prana.config.properties import Malformed, Property, decoded, parse
from prana.config.settings import Settings
from prana.config.shapes import branch, located
from prana.config.sources import Origin, Problem, Source, Text, Unreadable, content_of, single

_SECTIONS = branch(Settings)


def from_properties(file: FilePath) -> tuple[list[Source], list[Problem]]:
    """One source for every property, and warnings; Unreadable when the file is missing or malformed."""
    try:
        written = list(parse(decoded(content_of(file))))
    except Malformed as error:
        raise Unreadable(Problem(Origin(f"{file}:{error.line}", line=error.line), str(error))) from None
    last = {each.name: each for each in written}
    sources = [single(path_of(each.name), Text(each.value), _origin(file, each)) for each in last.values()]
    repeated = [each for each in written if last[each.name] is not each]
    return sources, [
        Problem(_origin(file, each), f"is given again in line {last[each.name].line}, which counts")
        for each in repeated
    ]


def _origin(file: FilePath, each: Property) -> Origin:
    name = each.name if each.name.isprintable() else quoted(each.name)
    return Origin(f"{file}:{each.line}: {name}", line=each.line)


def path_of(name: str) -> tuple[str, ...]:
    """The path that a name sets: that of one of our keys when it begins with one of our sections, or of a property.

    `eureka` is a section of others as well, so there what is no key stays a property.
    """
    parts = name.split(".")
    if path := located(_SECTIONS, parts):
        return path
    if parts[0] in _SECTIONS.fields and parts[0] != "eureka":
        return tuple(parts)  # refused as unknown where it is read, with the key that was probably meant
    return ("properties", name)

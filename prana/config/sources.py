"""Where settings are written: a TOML file, environment variables and command line flags.

Each source becomes a tree of unchecked values that can say where any of its keys was written. The sources of a
configuration are ordered by precedence, weakest first: file, environment, flags.

Environment: `PRANA_` and the path, upper case, `__` between its parts (`PRANA_PROXY__LISTEN`). Lists are comma
separated or JSON, tables and arrays of tables are JSON. In the name of a service `_` stands for `-`, so that
`PRANA_SERVICES__USER_SERVICE__TIMEOUT` is `services.user-service.timeout`; a name with a dot or an underscore
is written in the file, with `--set`, or as JSON in `PRANA_SERVICES`. The name of a property is lower case in a
variable; any other is written likewise, or as JSON in `PRANA_PROPERTIES`.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from prana.config.positions import Path, lines_of_keys, parse_key

PREFIX = "PRANA_"

# Read by tests and by the app beside us, not settings.
_NOT_SETTINGS = {"PRANA_REQUIRE_EUREKA", "PRANA_URL", "PRANA_ADMIN_URL"}

# Kubernetes adds these to every pod when the namespace has a Service named "prana"
# (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
_KUBERNETES = re.compile(r"PRANA_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)?)")


class Text(str):
    """A value written as plain text, in a variable or flag: its type is known only once its key is."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written: `place` is a file and line, a variable or a flag.

    `key` is what a message names beside the place; empty when the place says it.
    """

    place: str
    key: str = ""
    line: int = 0


DEFAULT = Origin("default")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where, and what is allowed instead."""

    origin: Origin
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.origin.place, self.origin.key, self.message) if part)


@dataclass(frozen=True, slots=True)
class Source:
    """A tree of unchecked values, the origin of every path in it, and how a path is spelled there."""

    tree: Mapping[str, object]
    origin: Callable[[Path], Origin]
    spell: Callable[[Path], str]


@dataclass(frozen=True, slots=True)
class FlagValue:
    """A value from the command line: the flag as the user knows it, the dotted key that it sets, and the text.

    A repeatable flag gives all its texts as one tuple, since together they are one list.
    """

    flag: str
    key: str
    value: str | tuple[str, ...]


class Unreadable(Exception):
    """A file that gives no values at all."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def dotted(path: Path) -> str:
    """A path as TOML writes it: quoted where it must be, indexes in brackets."""
    parts = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", part)
            parts.append(f".{part}" if bare else f'."{part}"')
    return "".join(parts).removeprefix(".")


def content_of(file: FilePath) -> bytes:
    """What is in a file; Unreadable when it cannot be had."""
    try:
        return file.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror}; name an existing file"
        raise Unreadable(Problem(Origin(str(file)), message)) from None


def from_file(file: FilePath) -> Source:
    """The source of a TOML file; Unreadable when it is missing, no text, or no TOML."""
    name, content = str(file), content_of(file)
    try:
        text = content.decode("utf-8-sig")  # some editors leave a byte order mark
        tree = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable(Problem(Origin(f"{name}:{line}"), "is not UTF-8 text, as TOML must be")) from None
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(_syntax_problem(name, text, str(error))) from None
    lines = lines_of_keys(text)

    def origin(path: Path) -> Origin:
        written = path
        while written and written not in lines:
            written = written[:-1]
        line = lines.get(written, 1)
        return Origin(f"{name}:{line}", dotted(path), line)

    return Source(tree, origin, dotted)


def _syntax_problem(name: str, text: str, message: str) -> Problem:
    what, _, place = message.rpartition(" (at ")
    found = re.match(r"line (\d+), column (\d+)", place)
    if found is None:  # "at end of document"
        line = text.rstrip("\n").count("\n") + 1
        return Problem(Origin(f"{name}:{line}", line=line), f"is not TOML: {what} at the end of the file")
    return Problem(Origin(f"{name}:{found[1]}", line=int(found[1])), f"is not TOML: {what}, column {found[2]}")


def from_environment(environ: Mapping[str, str]) -> list[Source]:
    """One source for every variable of ours. A deeper path is stronger than the table that holds it."""
    ours = {variable_path(name): name for name, value in environ.items() if _is_setting(name, value)}
    sources = []
    for path in sorted(ours, key=len):

        def spell(at: Path, path: Path = path) -> str:
            if any(isinstance(part, int) for part in at):
                return dotted(at)  # no variable reaches into an array
            return variable_name((*at, *path[len(at) :]))

        sources.append(single(path, Text(environ[ours[path]]), Origin(ours[path]), spell))
    return sources


def _is_setting(name: str, value: str) -> bool:
    if not name.startswith(PREFIX) or name in _NOT_SETTINGS:
        return False
    kubernetes = _KUBERNETES.fullmatch(name) and (name != "PRANA_PORT" or "://" in value)
    return not kubernetes


def variable_path(name: str) -> tuple[str, ...]:
    """The path that an environment variable sets."""
    parts = name.removeprefix(PREFIX).lower().split("__")
    if parts[0] == "services" and len(parts) > 1:
        parts[1] = parts[1].replace("_", "-")
    return tuple(parts)


def variable_name(path: Iterable[str | int]) -> str:
    """The environment variable that sets a path."""
    return PREFIX + "__".join(str(part) for part in path).upper().replace("-", "_")


def from_flags(flags: Sequence[FlagValue]) -> tuple[list[Source], list[Problem]]:
    """One source for every flag, in the order given; a later one is stronger."""
    sources, problems = [], []
    for flag in flags:
        place = f"{flag.flag} {flag.key}" if flag.flag == "--set" else flag.flag
        try:
            path = parse_key(flag.key)
        except ValueError as error:
            problems.append(Problem(Origin(flag.flag), str(error)))
            continue
        value = Text(flag.value) if isinstance(flag.value, str) else [Text(text) for text in flag.value]
        sources.append(single(path, value, Origin(place)))
    return sources, problems


def single(path: tuple[str, ...], value: object, written: Origin, spell: Callable[[Path], str] = dotted) -> Source:
    """The source of one value."""
    tree: dict[str, object] = {path[-1]: value}
    for part in reversed(path[:-1]):
        tree = {part: tree}

    def origin(at: Path) -> Origin:
        return written if path[: len(at)] == at else Origin(written.place, dotted(at), written.line)

    return Source(tree, origin, spell)

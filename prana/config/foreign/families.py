"""What the tables of foreign property names are made of, and how a name is found in them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from prana.config.foreign import conversions as to
from prana.config.kinds import nearest

SERVICE = "<service>"
_PLACEHOLDER = re.compile(r"<\w+>")


@dataclass(frozen=True, eq=False)
class Row:
    """Names behind the prefix of their family, and the key that they set together.

    `read` makes its text from theirs, None for a name that is not given. A row without `path` has no counterpart, and
    `note` says why; a value in `agrees` asks for what Prana does anyhow. Of places that set the same key, that one
    counts which the family's property `place_in` names.
    """

    names: Sequence[str]
    path: str = ""
    read: Callable[..., str | None] = to.first
    note: str = ""
    agrees: Sequence[str] = ()
    place_in: str = ""


def sets(names: str, path: str, read: Callable[..., str | None] = to.first, note: str = "", place_in: str = "") -> Row:
    return Row(names.split(), path, read, note, place_in=place_in)


def without(names: str, note: str, *agrees: str) -> Row:
    return Row(names.split(), note=note, agrees=agrees)


@dataclass(frozen=True)
class Match:
    """One property as its family knows it: a row, which of its names, and what stands at the placeholders."""

    row: Row
    name: str
    place: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Family:
    """Properties of one origin.

    With `<service>` in the prefix, paths are those of a policy, and `everywhere` is what stands there for all services,
    the strongest last ("": nothing at all). Where `open`, names without a row are the app's own. Spring's names may be
    written in camelCase, too.
    """

    prefix: str
    rows: Sequence[Row]
    everywhere: Sequence[str] = ()
    open: bool = False
    spring: bool = False

    def matches(self, name: str) -> list[Match]:
        """None for a name that is not known; several where rows share it."""
        match = self._known.fullmatch(name)
        if match is None or match.lastgroup is None:
            return []
        first = match.re.groupindex[match.lastgroup]
        known = self._names[int(match.lastgroup.removeprefix("name"))]
        filled = match.groups()[first : first + len(_PLACEHOLDER.findall(known))]
        place = (match["service"] or "",) if SERVICE in self.prefix else filled
        return [Match(row, known, place) for row in self.rows if known in row.names]

    def path(self, row: Row, place: tuple[str, ...]) -> tuple[str, ...]:
        """The path that a row sets."""
        filled = iter(place)
        if SERVICE in self.prefix:
            service = next(filled)
            return (*(("defaults",) if service in self.everywhere else ("services", service)), *row.path.split("."))
        return tuple(next(filled) if _PLACEHOLDER.fullmatch(part) else part for part in row.path.split("."))

    def suggestion(self, name: str) -> tuple[int, str] | None:
        """For an unknown name of this family, the length of its prefix and the nearest known name, "" for none."""
        match = None if self.open else self._any.fullmatch(name)
        if match is None:
            return None
        start = match.start("rest")
        guess = nearest(match["rest"], self._names)
        return start, name[:start] + guess if guess else ""

    @cached_property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row.names))

    @cached_property
    def _known(self) -> re.Pattern[str]:
        """The last group that closes is the one of the name; those of its placeholders are behind its start."""
        names = (f"(?P<name{index}>{self._regex(name)})" for index, name in enumerate(self._names))
        return re.compile(f"{self._head}(?:{'|'.join(names)})")

    @cached_property
    def _any(self) -> re.Pattern[str]:
        return re.compile(f"{self._head}(?P<rest>.+)")

    @property
    def _head(self) -> str:
        before, service, after = self.prefix.partition(SERVICE)
        if not service:
            return self._regex(before)
        named = rf"(?P<service>.+?){re.escape(after[:1])}"
        return self._regex(before) + (f"(?:{named})?" if "" in self.everywhere else named) + self._regex(after[1:])

    def _regex(self, template: str) -> str:
        regex = "(.+)".join(re.escape(text) for text in _PLACEHOLDER.split(template))
        return f"(?i:{regex})".replace(r"\-", "-?") if self.spring else regex

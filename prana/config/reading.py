"""From the unchecked trees of all sources to checked values: every problem is kept, none stops the reading."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from prana.config.inheritance import inheritance
from prana.config.kinds import Kind, nearest, quoted
from prana.config.positions import Path
from prana.config.shapes import Branch, Items, Leaf, Shape, Table, Tables, branch, leaf_paths, shape_at
from prana.config.sources import Origin, Problem, Source, Text, dotted
from prana.config.unavailable import refusal


@dataclass(slots=True)
class Reading:
    """What all sources together say, by path: checked values, where each was written, and what is wrong.

    `origins` has the tables too, so that an empty one is known to be there. `bad` are the paths of problems.
    """

    values: dict[Path, Any] = field(default_factory=dict)
    origins: dict[Path, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    bad: set[Path] = field(default_factory=set)

    def add(self, source: Source, root: type[msgspec.Struct]) -> None:
        """Lays a source over those before it: tables merge, single values and lists replace."""
        reader = _Reader(self, source, branch(root))
        reader.branch(reader.root, source.tree, (), ())

    def put(self, path: Path, value: object, origin: Origin, root: type[msgspec.Struct]) -> None:
        """Lays one value over what was read. The path must be a key's, and may lead into an array."""
        reader = _Reader(self, Source({}, lambda _: origin, dotted), branch(root))
        shape = shape_at(reader.root, path)
        assert shape is not None  # noqa: S101 - as the docstring wants it; tells mypy
        reader.value(shape, value, path, path)

    def tables_at(self, path: Path) -> list[Path]:
        """The paths of the tables at `path`: its own when there is one, with an index when there are several."""
        indexed = [at for at in self.origins if at[:-1] == path and isinstance(at[-1], int)]
        return indexed or [at for at in (path,) if at in self.origins]

    def forget(self, path: Path) -> None:
        """All that was written under a path."""
        for known in (self.values, self.origins):
            for at in [at for at in known if at[: len(path)] == path]:
                del known[at]


class _Reader:
    """Walks one source. `path` is where a value belongs; `at` is how its source wrote that path."""

    def __init__(self, reading: Reading, source: Source, root: Branch) -> None:
        self.reading = reading
        self.source = source
        self.root = root

    def refuse(self, path: Path, at: Path, message: str) -> None:
        self.reading.problems.append(Problem(self.source.origin(at), message))
        self.reading.bad.add(path)

    def accept(self, path: Path, at: Path, value: object) -> None:
        self.reading.values[path] = value
        self.reading.origins[path] = self.source.origin(at)

    def value(self, shape: Shape, raw: object, path: Path, at: Path) -> None:
        match shape:
            case Leaf(kind):
                self.leaf(kind, raw, path, at)
            case Items():
                self.items(shape, raw, path, at)
            case Branch():
                self.branch(shape, raw, path, at)
            case Tables():
                self.tables(shape, raw, path, at)
            case Table():
                self.table(shape, raw, path, at)

    def leaf(self, kind: Kind, raw: object, path: Path, at: Path) -> None:
        try:
            value = kind.parse(kind.read(raw) if isinstance(raw, Text) else raw)
        except ValueError as error:
            self.refuse(path, at, str(error))
            return
        if reason := refusal(path, value):
            self.refuse(path, at, reason)
        else:
            self.accept(path, at, value)

    def items(self, shape: Items, raw: object, path: Path, at: Path) -> None:
        if isinstance(raw, Text):
            raw = _read_list(raw)
        if not isinstance(raw, list):
            self.refuse(path, at, f"must be a list, not {quoted(raw)}")
            return
        values = []
        for index, item in enumerate(raw):
            try:
                values.append(shape.item.parse(shape.item.read(item) if isinstance(item, Text) else item))
            except ValueError as error:
                self.refuse(path, (*at, index), str(error))
        self.accept(path, at, shape.make(values))

    def branch(self, shape: Branch, raw: object, path: Path, at: Path) -> None:
        table = self.open_table(raw, path, at)
        for key, value in table.items():
            if key in shape.fields:
                self.value(shape.fields[key], value, (*path, key), (*at, key))
            else:
                self.refuse((*path, key), (*at, key), self.unknown(shape, key, at))

    def tables(self, shape: Tables, raw: object, path: Path, at: Path) -> None:
        """A table is laid over the only one there is; an array replaces whatever there is."""
        if isinstance(raw, Text):
            raw = _read_json(raw)
        if isinstance(raw, dict):
            known = self.reading.tables_at(path)
            if len(known) > 1:
                places = ", ".join(dict.fromkeys(self.reading.origins[one].place for one in known))
                message = f"stands for a single {dotted(path)}, but there are {len(known)} ({places}); write it there"
                self.refuse(path, at, message)
            else:
                self.branch(shape.item, raw, path, at)
        elif isinstance(raw, list) and all(isinstance(one, dict) for one in raw):
            self.reading.forget(path)
            if not raw:
                self.reading.values[path] = ()
            for index, (inside, one) in enumerate(Tables.located(path, raw)):
                self.branch(shape.item, one, inside, (*at, index))
        else:
            self.refuse(path, at, "must be a table, or an array of tables")

    def table(self, shape: Table, raw: object, path: Path, at: Path) -> None:
        seen: dict[object, str] = {}
        for key, value in self.open_table(raw, path, at).items():
            try:
                name = shape.key.parse(key)
            except ValueError as error:
                self.refuse(path, (*at, key), str(error))
                continue
            if name in seen:
                self.refuse(path, (*at, key), f"is the same as {quoted(seen[name])}; case does not count")
                continue
            seen[name] = key
            self.value(shape.value, value, (*path, str(name)), (*at, key))

    def open_table(self, raw: object, path: Path, at: Path) -> Mapping[str, object]:
        """The raw keys of a table; none, and a problem, when it is something else."""
        if isinstance(raw, Text):
            raw = _read_json(raw)
        if isinstance(raw, dict):
            self.reading.origins[path] = self.source.origin(at)
            return raw
        self.refuse(path, at, "must be a table, not a single value or a list")
        return {}

    def unknown(self, shape: Branch, key: str, at: Path) -> str:
        for outer in inheritance(at):
            if shape_at(self.root, (*outer, key)) is not None:
                shared = f"write {self.source.spell((*outer, key))}"
                return f"is no key of a route, for all routes of a service share its nodes and retry budget; {shared}"
        return f"unknown key; {self.hint(shape, key, at)}"

    def hint(self, shape: Branch, key: str, at: Path) -> str:
        """Which known key was probably meant: one of this table, or of the same name in another."""
        if guess := nearest(key, shape.fields):
            return f"did you mean {self.source.spell((*at, guess))}?"
        if homes := [self.source.spell(path) for path in leaf_paths(self.root) if path[-1] == key]:
            return f"did you mean {' or '.join(homes)}?"
        return f"known here are {', '.join(shape.fields)}"


def _read_list(text: str) -> object:
    """JSON, or texts with commas between."""
    if not text.lstrip().startswith("["):
        return [Text(part.strip()) for part in text.split(",") if part.strip()]
    return _read_json(text)


def _read_json(text: str) -> object:
    try:
        return msgspec.json.decode(str(text))  # a subclass of str is no str to msgspec
    except msgspec.DecodeError:
        return text

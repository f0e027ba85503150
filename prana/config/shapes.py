"""The settings tree as data: what stands at each place, read off the type annotations of `settings`."""

import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

from prana.config.kinds import Kind
from prana.config.positions import Path

Each = TypeVar("Each")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A single value."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class Items:
    """A list of single values, kept as `make` makes it."""

    item: Kind
    make: Callable[[Iterable[object]], object]


@dataclass(frozen=True, slots=True)
class Branch:
    """A table with known keys. An optional one may be absent as a whole."""

    struct: type[Struct]
    fields: Mapping[str, "Shape"]  # by key, in the order of the struct's attributes

    def values(self, settings: Struct) -> Iterator[tuple[str, "Shape", Any]]:
        """Key, shape and value of every field."""
        for (key, shape), attribute in zip(self.fields.items(), self.struct.__struct_fields__, strict=True):
            yield key, shape, getattr(settings, attribute)

    def make(self, values: Iterable[object]) -> Any:
        """The settings of these values, which are in the order of the fields."""
        return self.struct(**dict(zip(self.struct.__struct_fields__, values, strict=True)))


@dataclass(frozen=True, slots=True)
class Tables:
    """A table with known keys, or an array of such tables; kept as a tuple."""

    item: Branch

    @staticmethod
    def located(path: Path, tables: Sequence[Each]) -> list[tuple[Path, Each]]:
        """The tables with their paths: an array of one is the same as the table itself."""
        return [(path if len(tables) == 1 else (*path, index), each) for index, each in enumerate(tables)]


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose keys the user chooses."""

    key: Kind
    value: "Shape"


Shape = Leaf | Items | Branch | Tables | Table


@cache
def branch(struct: type[Struct]) -> Branch:
    hints = get_type_hints(struct, include_extras=True)
    names = zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True)
    return Branch(struct, {key: _shape(hints[attribute]) for key, attribute in names})


def _shape(hint: Any) -> Shape:
    arguments = get_args(hint)
    made = get_origin(hint)
    if made is Annotated:
        return Leaf(arguments[1])
    if made is dict:
        return Table(_kind(arguments[0]), _shape(arguments[1]))
    if made is tuple and get_origin(arguments[0]) is not Annotated:
        return Tables(branch(arguments[0]))
    if made in (tuple, frozenset):
        return Items(_kind(arguments[0]), made)
    if made in (Union, types.UnionType):  # a table that may be absent
        return _shape(arguments[0])
    return branch(hint)


def _kind(hint: Any) -> Kind:
    kind: Kind = get_args(hint)[1]
    return kind


def leaf_paths(shape: Shape, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every path of single values and lists, but for those under keys that the user chooses."""
    if isinstance(shape, Branch):
        for name, inner in shape.fields.items():
            yield from leaf_paths(inner, (*path, name))
    elif isinstance(shape, Tables):
        yield from leaf_paths(shape.item, path)
    elif not isinstance(shape, Table):
        yield path


def shape_at(shape: Shape, path: Path) -> Shape | None:
    """What stands at a path, None when nothing can."""
    found: Shape | None = shape
    for part in path:
        match found:
            case Branch():
                found = found.fields.get(str(part))
            case Tables(item):
                found = item if isinstance(part, int) else item.fields.get(str(part))
            case Table(_, value):
                found = value
            case _:
                return None
    return found


def located(shape: Shape, parts: Sequence[str]) -> tuple[str, ...] | None:
    """The path of dotted parts; a key that the user chooses may have dots in it, and is as short as can be."""
    match shape:
        case Tables(item):
            return located(item, parts)
        case Branch(_, fields) if parts:
            below = located(fields[parts[0]], parts[1:]) if parts[0] in fields else None
            return None if below is None else (parts[0], *below)
        case Table(_, value) if parts:
            inner = isinstance(value, Branch)  # then only its keys can be written
            for length in range(1, len(parts) + (not inner)):
                below = located(value, parts[length:])
                if below is not None:
                    return (".".join(parts[:length]), *below)
            return None
        case _:
            return None if parts else ()

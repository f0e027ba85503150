"""The settings tree as data: what stands at each place, read off the type annotations of `settings`."""

import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

from prana.config.kinds import Kind


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
    fields: Mapping[str, "Shape"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose keys the user chooses."""

    key: Kind
    value: "Shape"


Shape = Leaf | Items | Branch | Table


@cache
def branch(struct: type[Struct]) -> Branch:
    hints = get_type_hints(struct, include_extras=True)
    return Branch(struct, {name: _shape(hints[name]) for name in struct.__struct_fields__})


def _shape(hint: Any) -> Shape:
    arguments = get_args(hint)
    made = get_origin(hint)
    if made is Annotated:
        return Leaf(arguments[1])
    if made is dict:
        return Table(_kind(arguments[0]), _shape(arguments[1]))
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
    elif not isinstance(shape, Table):
        yield path

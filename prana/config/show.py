"""The configuration written back: the effective values with their origins, and its JSON Schema."""

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, Struct

from prana.config.kinds import Kind
from prana.config.loader import Loaded
from prana.config.masking import is_secret
from prana.config.positions import Path
from prana.config.settings import Settings
from prana.config.shapes import Branch, Items, Leaf, Shape, Table, Tables, branch
from prana.config.unavailable import refusal


def effective(loaded: Loaded) -> Iterator[tuple[Path, object, str]]:
    """Path, value in its TOML form with secrets masked, and origin, of every key that has an effect."""
    for path, value in _shown(branch(Settings), loaded.settings, ()):
        secret = path[0] == "properties" and is_secret(str(path[-1]))
        yield path, "***" if secret else value, loaded.origin(path).place


def _shown(shape: Shape, value: Any, path: Path) -> Iterator[tuple[Path, object]]:
    if value is None or value is UNSET or (path and refusal(path)):
        return
    match shape:
        case Leaf(kind):
            yield path, kind.show(value)
        case Items(item):
            yield path, [item.show(element) for element in _ordered(value)]
        case Branch():
            for key, inner, element in _with_effect(shape, value):
                yield from _shown(inner, element, (*path, key))
        case Tables(item):
            for at, element in Tables.located(path, value):
                yield from _shown(item, element, at)
        case Table(_, inner):
            for name, element in value.items():
                yield from _shown(inner, element, (*path, name))


def _with_effect(shape: Branch, table: Any) -> Iterator[tuple[str, Shape, Any]]:
    """The values of a table but those that say nothing beside the others, where its struct can tell."""
    without = getattr(table, "without_effect", ())
    return (value for value in shape.values(table) if value[0] not in without)


def _ordered(values: Any) -> list[Any]:
    return sorted(values) if isinstance(values, frozenset) else list(values)


def nested(loaded: Loaded) -> dict[str, Any]:
    """The effective configuration as a tree for JSON, secrets masked."""
    tree: dict[str | int, Any] = {}
    for path, value, _ in effective(loaded):
        *tables, key = path
        table = tree
        for part in tables:
            table = table.setdefault(part, {})
        table[key] = value
    return {str(key): _listed(value) for key, value in tree.items()}


def _listed(value: Any) -> Any:
    """Tables by index as the arrays that they are."""
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(each) for key, each in value.items()}
    return list(inner.values()) if 0 in inner else inner


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the file, without references, which not every TOML editor follows."""
    schema = _schema(branch(Settings), (), Settings())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Prana", **schema}


def _schema(shape: Shape, path: Path, default: Any) -> dict[str, Any]:
    match shape:
        case Leaf(kind):
            return _leaf_schema(kind, path, default)
        case Items(item):
            listed: dict[str, Any] = {"type": "array", "items": dict(item.schema)}
            if default is None:  # under a key that the user chooses
                return listed
            return listed | {"default": [item.show(element) for element in _ordered(default)]}
        case Branch(struct):
            base = default if isinstance(default, Struct) else struct()
            properties = {
                key: _schema(inner, (*path, key), value)
                for key, inner, value in shape.values(base)
                if not refusal((*path, key))
            }
            schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
            required = [key for key, inner, value in shape.values(base) if _is_required(inner, value)]
            return schema | {"required": required} if required else schema
        case Tables(item):
            table = _schema(item, path, None)
            return {"anyOf": [table, {"type": "array", "items": table}]}
        case Table(key, inner):
            entry = _schema(inner, (*path, "NAME"), None)
            return {"type": "object", "propertyNames": dict(key.schema), "additionalProperties": entry}


def _is_required(shape: Shape, default: Any) -> bool:
    """Whether a key has no usable default: its own kind refuses what stands there."""
    if not isinstance(shape, Leaf) or default is UNSET:
        return False
    try:
        shape.kind.parse(shape.kind.show(default))
    except ValueError:
        return True
    return False


def _leaf_schema(kind: Kind, path: Path, default: Any) -> dict[str, Any]:
    schema = dict(kind.schema)
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if not refusal(path, value)]
    given = default is not UNSET and default is not None  # None under a key that the user chooses
    if given and not _is_required(Leaf(kind), default):
        schema["default"] = kind.show(default)
    return schema

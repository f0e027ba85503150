"""What a single key accepts: a `Kind` stands in the annotation of a settings field, beside its type.

One value carries all that is known about a key's values (how they are read, written, described to an editor,
and whether they are secret), so that the settings tree is the only place where a key is declared.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from prana.config import units
from prana.config.masking import mask_credentials

Number = TypeVar("Number", int, float)


def _as_is(value: Any) -> object:
    return value


@dataclass(frozen=True, slots=True)
class Kind:
    """`parse` turns a TOML or JSON value into the setting, or raises ValueError with what is wrong and allowed.

    `read` turns the text of a variable or flag into what TOML would have held; `show` writes a setting back in
    its TOML form, secrets masked.
    """

    parse: Callable[[object], object]
    schema: Mapping[str, Any]
    read: Callable[[str], object] = str
    show: Callable[[Any], object] = _as_is


def quoted(value: object) -> str:
    """A value as a message shows it: short, on one line, without credentials."""
    shown = mask_credentials(json.dumps(value, ensure_ascii=False, default=str))
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be; case does not count."""
    by_folded = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_folded, n=1)
    return by_folded[found[0]] if found else None


def string(value: object) -> str:
    """The value, when it is a string."""
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {quoted(value)}")
    return value


def boolean() -> Kind:
    def parse(value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {quoted(value)}")
        return value

    def read(written: str) -> object:
        return {"true": True, "false": False}.get(written.strip().lower(), written)

    return Kind(parse, {"type": "boolean"}, read)


def true() -> Kind:
    """For what is switched off by leaving it out."""

    def parse(value: object) -> bool:
        if value is not True:
            raise ValueError(f"is {quoted(value)}; allowed is true, or to leave it out")
        return True

    return Kind(parse, {"const": True}, boolean().read)


def integer(lowest: int, highest: int) -> Kind:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a whole number from {lowest} to {highest}, not {quoted(value)}")
        return _within(value, lowest, highest)

    def read(written: str) -> object:
        return int(written) if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", written) else written

    return Kind(parse, {"type": "integer", "minimum": lowest, "maximum": highest}, read)


def number(lowest: float, highest: float) -> Kind:
    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"must be a number from {_plain(lowest)} to {_plain(highest)}, not {quoted(value)}")
        return float(_within(value, lowest, highest))

    def read(written: str) -> object:
        try:
            return float(written)
        except ValueError:
            return written

    return Kind(parse, {"type": "number", "minimum": lowest, "maximum": highest}, read)


def _within(value: Number, lowest: Number, highest: Number) -> Number:
    if not lowest <= value <= highest:  # also refuses nan, which compares with nothing
        raise ValueError(f"is {_plain(value)}; allowed are {_plain(lowest)} to {_plain(highest)}")
    return value


def _plain(value: float) -> str:
    """As people write it, 1000000 rather than 1e+06."""
    return str(value) if isinstance(value, int) else f"{value:.15g}"


def duration(shortest: str, longest: str) -> Kind:
    """A text such as `"250ms"`, kept as float seconds."""

    def parse(value: object) -> float:
        written = _with_unit(value, "duration", ("s", "ms"))
        return _between(units.parse_duration, written, shortest, longest)

    schema = {"type": "string", "pattern": units.DURATION_PATTERN, "description": f"{shortest} to {longest}"}
    return Kind(parse, schema, show=units.format_duration)


def size(smallest: str, largest: str) -> Kind:
    """A text such as `"64KiB"`, kept as int bytes."""

    def parse(value: object) -> int:
        written = _with_unit(value, "size", ("B", "KiB"))
        return _between(units.parse_size, written, smallest, largest)

    schema = {"type": "string", "pattern": units.SIZE_PATTERN, "description": f"{smallest} to {largest}"}
    return Kind(parse, schema, show=units.format_size)


def _with_unit(value: object, noun: str, suffixes: tuple[str, str]) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f'must be a {noun} such as "5{suffixes[0]}", not {quoted(value)}')
    written = str(value).strip()
    if re.fullmatch(r"[+-]?[0-9.]+", written):
        examples = " or ".join(f'"{written.lstrip("+-")}{suffix}"' for suffix in suffixes)
        raise ValueError(f"is a bare number; a {noun} needs a unit, such as {examples}")
    return written


def _between(parse: Callable[[str], Number], written: str, lowest: str, highest: str) -> Number:
    try:
        quantity = parse(written.removeprefix("-"))
    except ValueError as error:
        raise ValueError(f"{quoted(written)} {error}") from None
    if written.startswith("-") or not parse(lowest) <= quantity <= parse(highest):
        raise ValueError(f"is {written}; allowed are {lowest} to {highest}")
    return quantity


def text(pattern: str = r".*", allowed: str = "text without control characters") -> Kind:
    """A string that matches `pattern` as a whole; `allowed` says in words what that is."""

    def parse(value: object) -> str:
        written = string(value)
        if not re.fullmatch(pattern, written) or not written.isprintable():
            raise ValueError(f"is {quoted(written)}; allowed is {allowed}")
        return written

    return Kind(parse, {"type": "string", "description": allowed})


def plain_text() -> Kind:
    """Any string, line breaks included."""
    return Kind(string, {"type": "string"})


def property_value() -> Kind:
    """Any string under a name of the user's choice. Of a name with dots TOML makes tables, unless it is quoted."""

    def parse(value: object) -> str:
        if isinstance(value, dict):
            raise ValueError('is a table; a name with dots stands in quotes, as in "a.b" = "value"')
        return string(value)

    return Kind(parse, {"type": "string"}, show=mask_credentials)


def argument() -> Kind:
    """One argument of a command: any string that a program can be given."""

    def parse(value: object) -> str:
        written = string(value)
        if "\0" in written:
            raise ValueError("has a NUL character, which no argument can have")
        return written

    return Kind(parse, {"type": "string"})


def service_name(*, optional: bool = False) -> Kind:
    """A VIP or application name, kept lower case since names are compared so."""

    def parse(value: object) -> str:
        written = string(value)
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", written) and not (optional and not written):
            raise ValueError(f"{quoted(written)} is not a service name; allowed are 1 to 128 of A-Z a-z 0-9 . _ -")
        return written.lower()

    return Kind(parse, {"type": "string"})


def secret(pattern: str, allowed: str) -> Kind:
    """A text that neither messages nor `config show` repeat."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"is not usable; allowed is {allowed}")
        return value

    def mask(value: str) -> str:
        return "***" if value else ""

    return Kind(parse, {"type": "string", "description": allowed}, show=mask)


def one_of(*names: str) -> Kind:
    def parse(value: object) -> str:
        written = string(value)
        if written not in names:
            guess = nearest(written, names)
            hint = f"did you mean {quoted(guess)}? " if guess else ""
            raise ValueError(f"is {quoted(written)}; {hint}allowed are {', '.join(map(quoted, names))}")
        return written

    return Kind(parse, {"type": "string", "enum": list(names)})


def statuses() -> Kind:
    """A text such as `"200-299"`, kept as a frozenset of status codes."""

    def parse(value: object) -> frozenset[int]:
        written = string(value)
        try:
            return units.parse_statuses(written)
        except ValueError as error:
            raise ValueError(f"{quoted(written)} {error}") from None

    return Kind(parse, {"type": "string", "pattern": units.STATUSES_PATTERN}, show=units.format_statuses)


def anything() -> Kind:
    """Any value that JSON can hold, and TOML's dates and times, which are sent as their ISO text."""

    def parse(value: object) -> object:
        try:
            json.dumps(value, allow_nan=False, default=str)
        except ValueError:
            raise ValueError("holds nan or inf; allowed is any value that JSON can hold") from None
        return value

    def read(written: str) -> object:
        try:
            return json.loads(written)
        except ValueError:
            raise ValueError(f"{quoted(written)} is not JSON") from None

    return Kind(parse, {}, read)

"""JSON values as Eureka's Jackson mappers read them: leniently converted where possible."""

from typing import Any

import msgspec

from registry.server.registration import UnreadableBodyError

MAX_INT = 2**31 - 1
MAX_LONG = 2**63 - 1


def decode(body: bytes) -> Any:
    """Raises UnreadableBodyError."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UnreadableBodyError(str(error)) from error


def fields_of(value: object) -> dict[str, Any]:
    """The fields of an object; `null` has none."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnreadableBodyError("an object was expected")
    return value


def text(value: object) -> str | None:
    return None if value is None else scalar_text(value)


def scalar_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    raise UnreadableBodyError("a string was expected")


def integer(value: object, *, default: int, largest: int = MAX_INT) -> int:
    """As `JsonParser.getValueAsInt`: strings are read, unreadable ones are 0, fractions are cut off."""
    if value is None:
        return default
    try:
        number = int(value if isinstance(value, (int, float)) else scalar_text(value))
    except ValueError:
        return 0
    if abs(number) > largest:
        raise UnreadableBodyError("number out of range")
    return number

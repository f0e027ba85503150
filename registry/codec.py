"""Eureka's JSON `applications` document, read tolerantly.

Servers of ten years and three codecs write it in different ways: a single object where a list is meant
(XStream), numbers and booleans as strings, fields left out. What can be understood is; an instance that
cannot is left out and counted, it never costs the rest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from registry.instance import Instance, Status

_DEFAULT_PORT = 7001  # what Java assumes for an instance without one (InstanceInfo.DEFAULT_PORT)
_NO_METADATA: Mapping[str, str] = MappingProxyType({})


class GarbledRegistry(Exception):
    """The body is not an `applications` document."""


class Action(StrEnum):
    """What a delta says about an instance; in a full read it means nothing."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"

    @classmethod
    def _missing_(cls, value: object) -> "Action":
        return cls.MODIFIED


@dataclass(frozen=True, slots=True)
class Entry:
    action: Action
    instance: Instance


@dataclass(frozen=True, slots=True)
class Listing:
    """`hashcode` describes the whole registry, also in a delta; None if the server sent none."""

    entries: tuple[Entry, ...]
    hashcode: str | None
    skipped: int  # instances that could not be understood


@dataclass(frozen=True, slots=True)
class Stored:
    """What a server says of one instance that readers of the registry do not need."""

    dirty_ms: int
    override: Status  # UNKNOWN: none
    metadata: Mapping[str, str]


def decode_stored(body: bytes) -> Stored:
    """An `instance` document. Raises GarbledRegistry when it is none."""
    raw = _root(body, "instance")
    override = _text(raw, "overriddenStatus") or _text(raw, "overriddenstatus")  # so written by old servers
    return Stored(_epoch_ms(raw.get("lastDirtyTimestamp")), Status(override), _metadata(raw.get("metadata")))


def decode_applications(body: bytes) -> Listing:
    """Raises GarbledRegistry when nothing of the body can be used."""
    applications = _root(body, "applications")
    entries = []
    skipped = 0
    for app, raw in _raw_instances(applications):
        try:
            entries.append(_entry(app, raw))
        except (ValueError, TypeError):
            skipped += 1
    hashcode = applications.get("apps__hashcode")
    return Listing(tuple(entries), hashcode if isinstance(hashcode, str) else None, skipped)


def _root(body: bytes, name: str) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GarbledRegistry(f"not JSON: {type(error).__name__}") from None
    root = document.get(name) if isinstance(document, dict) else None
    if not isinstance(root, dict):
        raise GarbledRegistry(f"no `{name}` object")
    return root


def _raw_instances(applications: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for application in _listed(applications.get("application")):
        if isinstance(application, dict):
            app = _text(application, "name")
            for raw in _listed(application.get("instance")):
                yield app, raw


def _entry(app: str, raw: object) -> Entry:
    if not isinstance(raw, dict):
        raise TypeError("an instance is an object")
    return Entry(Action(_text(raw, "actionType")), _instance(app, raw))


def _listed(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _instance(app: str, raw: dict[str, Any]) -> Instance:
    """Raises ValueError or TypeError for what cannot be called an instance."""
    host, ip = _text(raw, "hostName"), _text(raw, "ipAddr")
    return Instance(
        app=_required(_text(raw, "app") or app, "app").upper(),
        id=_required(_text(raw, "instanceId") or _amazon_id(raw) or host, "instanceId"),
        host=_required(host or ip, "hostName"),
        ip=ip or host,
        port=_port(raw.get("port"), _DEFAULT_PORT),
        status=Status(_text(raw, "status")),
        vips=tuple(vip for part in _text(raw, "vipAddress").split(",") if (vip := part.strip().lower())),
        secure_port=_port(raw.get("securePort"), 0),
        metadata=_metadata(raw.get("metadata")),
        last_dirty_ms=_epoch_ms(raw.get("lastDirtyTimestamp")),
        last_updated_ms=_epoch_ms(raw.get("lastUpdatedTimestamp")),
    )


def _text(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key)
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _required(text: str, name: str) -> str:
    if not text:
        raise ValueError(f"no {name}")
    return text


def _amazon_id(raw: dict[str, Any]) -> str:
    data_center = raw.get("dataCenterInfo")
    metadata = data_center.get("metadata") if isinstance(data_center, dict) else None
    return _text(metadata, "instance-id") if isinstance(metadata, dict) else ""


def _port(raw: object, default: int) -> int:
    """0 when disabled; `default` when nothing is said."""
    if raw is None:
        return default
    if isinstance(raw, dict):
        if str(raw.get("@enabled", default > 0)).lower() != "true":
            return 0
        raw = raw.get("$")
    port = _integer(raw)
    if not 0 <= port <= 65535:
        raise ValueError(f"port {port}")
    return port


def _integer(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise TypeError(f"{type(raw).__name__} where a number is meant")
    if isinstance(raw, float) and not raw.is_integer():
        raise ValueError(f"{raw} is no whole number")
    return int(raw)


def _epoch_ms(raw: object) -> int:
    """0 for anything else than a number: nothing depends on it enough to lose the instance."""
    try:
        return _integer(raw)
    except (ValueError, TypeError):
        return 0


def _metadata(raw: object) -> Mapping[str, str]:
    if not isinstance(raw, dict):
        return _NO_METADATA
    # An empty map arrives as {"@class": "java.util.Collections$EmptyMap"}.
    return MappingProxyType(
        {
            key: str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in raw.items()
            if key != "@class" and isinstance(value, str | int | float)
        }
    )

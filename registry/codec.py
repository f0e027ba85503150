"""Eureka's JSON `applications` document, read tolerantly.

Servers of ten years and three codecs write it in different ways: a single object where a list is meant
(XStream), numbers and booleans as strings, fields left out. What can be understood is; an instance that
cannot is left out and counted, it never costs the rest.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from sys import intern
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from registry.instance import Instance, Status

_Kind = TypeVar("_Kind")

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


class _StoredDocument(msgspec.Struct):
    instance: dict[str, Any]


def decode_stored(body: bytes) -> Stored:
    """An `instance` document. Raises GarbledRegistry when it is none."""
    raw = _document(body, _StoredDocument).instance
    override = _text(raw, "overriddenStatus") or _text(raw, "overriddenstatus")  # so written by old servers
    return Stored(_epoch_ms(raw.get("lastDirtyTimestamp")), Status(override), _metadata(raw.get("metadata")))


class _Applications(msgspec.Struct):
    application: msgspec.Raw = msgspec.Raw(b"null")
    apps__hashcode: Any = None


class _Document(msgspec.Struct):
    applications: _Applications


class _Application(msgspec.Struct):
    name: Any = None
    instance: msgspec.Raw = msgspec.Raw(b"null")


def decode_applications(body: bytes, pause: Callable[[], None] = lambda: None) -> Listing:
    """Raises GarbledRegistry when nothing of the body can be used.

    `pause` is called between instances: whoever decodes in a thread gives way to others there. No step in between
    takes long, for a document is cut into instances first (5,000 of them: 10 ms) and each then read by itself.
    """
    applications = _document(body, _Document).applications
    entries = []
    skipped = 0
    for app, raw in _raw_instances(applications.application):
        try:
            entries.append(_entry(app, msgspec.json.decode(raw)))
        except (msgspec.DecodeError, ValueError, TypeError, RecursionError):
            skipped += 1
        pause()
    hashcode = applications.apps__hashcode
    return Listing(tuple(entries), hashcode if isinstance(hashcode, str) else None, skipped)


def encode_applications(instances: Iterable[Instance]) -> Iterator[bytes]:
    """What `decode_applications` reads back as these instances, in pieces of one instance each."""
    yield b'{"applications":{"application":[{"instance":['
    for count, each in enumerate(instances):
        yield (b"," if count else b"") + msgspec.json.encode(_written(each))
    yield b"]}]}}"


def _written(each: Instance) -> dict[str, Any]:
    return {
        "app": each.app,
        "instanceId": each.id,
        "hostName": each.host,
        "ipAddr": each.ip,
        "port": {"$": each.port, "@enabled": each.port > 0},
        "securePort": {"$": each.secure_port, "@enabled": each.secure_port > 0},
        "status": each.status.value,
        "vipAddress": ",".join(each.vips),
        "secureVipAddress": ",".join(each.secure_vips),
        # Also where a zone was Amazon's: reading it as metadata leads to the same zone.
        "metadata": {**({"zone": each.zone} if each.zone else {}), **each.metadata},
        "lastDirtyTimestamp": each.last_dirty_ms,
        "lastUpdatedTimestamp": each.last_updated_ms,
    }


def _document(body: bytes | msgspec.Raw, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # The text of msgspec's error names paths and types, nothing of the content.
        raise GarbledRegistry(f"no registry document: {error}") from None


_UNREADABLE = msgspec.Raw(b"null")


def _raw_instances(applications: msgspec.Raw) -> Iterator[tuple[str, msgspec.Raw]]:
    for raw in _listed(applications):
        try:
            application = msgspec.json.decode(raw, type=_Application)
            instances = _listed(application.instance)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield "", _UNREADABLE  # how many instances it lists cannot be told; one counts as skipped
            continue
        name = application.name if isinstance(application.name, str) else ""
        for instance in instances:
            yield name, instance


def _listed(raw: msgspec.Raw) -> list[msgspec.Raw]:
    """The elements of a list; a single object stands for a list of one, null for an empty one."""
    start = bytes(memoryview(raw)[:1])
    if start == b"[":
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    return [] if start == b"n" else [raw]


def _entry(app: str, raw: object) -> Entry:
    if not isinstance(raw, dict):
        raise TypeError("an instance is an object")
    return Entry(Action(_text(raw, "actionType")), _instance(app, raw))


def _instance(app: str, raw: dict[str, Any]) -> Instance:
    """Raises ValueError or TypeError for what cannot be called an instance."""
    host, ip = _text(raw, "hostName"), _text(raw, "ipAddr")
    metadata, amazon = _metadata(raw.get("metadata")), _amazon(raw)
    return Instance(
        app=intern(_required(_text(raw, "app") or app, "app").upper()),
        id=_required(_text(raw, "instanceId") or _text(amazon, "instance-id") or host, "instanceId"),
        host=_required(host or ip, "hostName"),
        ip=ip or host,
        port=_port(raw.get("port"), _DEFAULT_PORT),
        status=Status(_text(raw, "status")),
        vips=_vips(_text(raw, "vipAddress")),
        secure_vips=_vips(_text(raw, "secureVipAddress")),
        secure_port=_port(raw.get("securePort"), 0),
        zone=intern(metadata.get("zone") or _text(amazon, "availability-zone")),
        metadata=metadata,
        last_dirty_ms=_epoch_ms(raw.get("lastDirtyTimestamp")),
        last_updated_ms=_epoch_ms(raw.get("lastUpdatedTimestamp")),
    )


@lru_cache(maxsize=4096)  # many instances share few
def _vips(text: str) -> tuple[str, ...]:
    return tuple(vip for part in text.split(",") if (vip := part.strip().lower()))


def _text(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key)
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _required(text: str, name: str) -> str:
    if not text:
        raise ValueError(f"no {name}")
    return text


def _amazon(raw: dict[str, Any]) -> dict[str, Any]:
    data_center = raw.get("dataCenterInfo")
    metadata = data_center.get("metadata") if isinstance(data_center, dict) else None
    return metadata if isinstance(metadata, dict) else {}


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


_MAX_EPOCH_MS = 2**62


def _epoch_ms(raw: object) -> int:
    """0 for anything else than a time: nothing depends on it enough to lose the instance. The bound leaves a successor
    room within a Java long, which is what a server reads it into."""
    try:
        epoch_ms = _integer(raw)
    except (ValueError, TypeError, OverflowError):
        return 0
    return epoch_ms if 0 <= epoch_ms < _MAX_EPOCH_MS else 0


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

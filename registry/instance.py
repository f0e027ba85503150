"""An instance as Eureka lists it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

_NO_METADATA: Mapping[str, str] = MappingProxyType({})


class Status(StrEnum):
    """Eureka's InstanceStatus; an unknown spelling becomes UNKNOWN, as in Java's `toEnum`."""

    UP = "UP"
    DOWN = "DOWN"
    STARTING = "STARTING"
    OUT_OF_SERVICE = "OUT_OF_SERVICE"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def _missing_(cls, value: object) -> "Status":
        return cls.UNKNOWN


@dataclass(frozen=True, slots=True)
class Instance:
    """One registration. `app` is upper case and the VIPs are lower case; `id` is unique within `app`."""

    app: str
    id: str
    host: str
    ip: str
    port: int  # the plain one, 0: disabled; as the member of a service the one that is called, see registry.ports
    status: Status = Status.UP
    vips: tuple[str, ...] = ()
    secure_vips: tuple[str, ...] = ()  # names of the secure port only
    secure_port: int = 0  # 0: disabled
    secure: bool = False  # whether `port` is called by TLS
    zone: str = ""  # metadata.zone, or Amazon's availability-zone; "": none is known
    metadata: Mapping[str, str] = field(default_factory=lambda: _NO_METADATA)
    last_dirty_ms: int = 0  # epoch, as written by the instance
    last_updated_ms: int = 0  # epoch, as written by the server

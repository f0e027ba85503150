"""What a client may register: the JSON body of `POST apps/{APP}`, read as leniently or strictly as Eureka reads it.

Source: Netflix eureka 2.0.6 `EurekaJacksonCodec` and `ApplicationResource.addInstance`, as answered by a
Spring Cloud Eureka server 4.3. Scalars are converted, unreadable numbers become 0, unknown scalars are ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from registry.instance import Status

DEFAULT_DURATION_S = 90
DEFAULT_RENEWAL_INTERVAL_S = 30
AMAZON_CLASS = "com.netflix.appinfo.AmazonInfo"
PLAIN_CLASS = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"
MAX_INT = 2**31 - 1
MAX_LONG = 2**63 - 1

# Strings that the registry carries without looking at them.
_CARRIED = (
    "appGroupName",
    "homePageUrl",
    "statusPageUrl",
    "healthCheckUrl",
    "secureHealthCheckUrl",
    "vipAddress",
    "secureVipAddress",
    "asgName",
)
_CLASSES = {
    PLAIN_CLASS: PLAIN_CLASS,
    "com.netflix.appinfo.MyDataCenterInfo": PLAIN_CLASS,
    AMAZON_CLASS: AMAZON_CLASS,
}
_DATA_CENTER_NAMES = {"MyOwn", "Amazon", "Netflix"}


class UnreadableBodyError(ValueError):
    """The body is not an instance document; Eureka says only `cannot parse request body`."""


class InvalidRegistrationError(ValueError):
    """The document is readable but incomplete; the message is Eureka's own text."""


@dataclass(frozen=True, slots=True)
class Port:
    number: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class DataCenter:
    """`metadata` is None for every class but Amazon's."""

    name: str | None
    class_name: str = PLAIN_CLASS
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """One instance as its client described it. `instance_id` is None where the client sent none and `id` stands in."""

    app: str
    id: str
    instance_id: str | None
    host: str
    ip: str
    sid: str | None
    status: Status
    overridden: Status
    port: Port
    secure_port: Port
    country_id: int
    data_center: DataCenter
    duration_s: int
    renewal_interval_s: int
    metadata: Mapping[str, str]
    carried: Mapping[str, str]
    last_dirty_ms: int | None  # None: the client sent none, the server's time of arrival counts

    @property
    def vips(self) -> list[str]:
        return self.carried.get("vipAddress", "").split(",")

    @property
    def secure_vips(self) -> list[str]:
        return self.carried.get("secureVipAddress", "").split(",")


def parse_registration(app: str, body: bytes) -> Registration:
    """Reads the body posted to `apps/{app}`; `app` in upper case.

    Raises UnreadableBodyError for what is no instance document and InvalidRegistrationError for what misses a field.
    """
    instance = _instance_of(body)
    data_center = _data_center(instance.get("dataCenterInfo"))
    instance_id = _text(instance.get("instanceId"))
    host = _text(instance.get("hostName"))
    ip = _text(instance.get("ipAddr"))
    own_app = _text(instance.get("app"))
    if own_app is None:
        raise UnreadableBodyError("app")  # the Java builder refuses to build without a name
    effective_id = instance_id or _amazon_id(data_center) or host
    lease = _object(instance.get("leaseInfo"))
    registration = Registration(
        app=own_app.upper(),
        id=effective_id or "",
        instance_id=instance_id,
        host=host or "",
        ip=ip or "",
        sid=_text(instance.get("sid")),
        status=_status(instance.get("status"), default=Status.UP),
        overridden=_status(instance.get("overriddenStatus", instance.get("overriddenstatus")), default=Status.UNKNOWN),
        port=_port(instance.get("port"), default=Port(7001, enabled=True)),
        secure_port=_port(instance.get("securePort"), default=Port(7002, enabled=False)),
        country_id=_integer(instance.get("countryId"), default=1),
        data_center=data_center or DataCenter(None),
        duration_s=_positive(lease.get("durationInSecs"), default=DEFAULT_DURATION_S),
        renewal_interval_s=_positive(lease.get("renewalIntervalInSecs"), default=DEFAULT_RENEWAL_INTERVAL_S),
        metadata=_string_map(instance.get("metadata")),
        carried=_carried(instance),
        last_dirty_ms=_optional_long(instance.get("lastDirtyTimestamp")),
    )
    _require(registration, app, has_data_center=data_center is not None)
    return registration


def _require(registration: Registration, app: str, *, has_data_center: bool) -> None:
    """The checks of `ApplicationResource.addInstance`, in its order."""
    if not registration.id:
        raise InvalidRegistrationError("Missing instanceId")
    if not registration.host:
        raise InvalidRegistrationError("Missing hostname")
    if not registration.ip:
        raise InvalidRegistrationError("Missing ip address")
    if not registration.app:
        raise InvalidRegistrationError("Missing appName")
    if registration.app != app:
        raise InvalidRegistrationError(f"Mismatched appName, expecting {app} but was {registration.app}")
    if not has_data_center:
        raise InvalidRegistrationError("Missing dataCenterInfo")
    if registration.data_center.name is None:
        raise InvalidRegistrationError("Missing dataCenterInfo Name")


def _instance_of(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UnreadableBodyError(str(error)) from error
    if not isinstance(document, dict) or set(document) != {"instance"}:
        raise UnreadableBodyError("no instance root")
    instance = document["instance"]
    if not isinstance(instance, dict):
        raise UnreadableBodyError("instance is no object")
    return instance


def _data_center(value: object) -> DataCenter | None:
    if value is None:
        return None
    fields = _object(value)
    class_name = _CLASSES.get(_text(fields.get("@class")) or "")
    name = _text(fields.get("name"))
    if class_name is None or (name is not None and name not in _DATA_CENTER_NAMES):
        raise UnreadableBodyError("dataCenterInfo")
    if class_name != AMAZON_CLASS:
        if set(fields) - {"@class", "name"}:
            raise UnreadableBodyError("dataCenterInfo")
        return DataCenter(name)
    if not isinstance(fields.get("metadata"), dict):
        raise UnreadableBodyError("dataCenterInfo.metadata")
    return DataCenter("Amazon", AMAZON_CLASS, _string_map(fields["metadata"]))


def _amazon_id(data_center: DataCenter | None) -> str | None:
    """`InstanceInfo.getId`: an Amazon instance without an id of its own is known by its machine's."""
    if data_center is None or data_center.metadata is None:
        return None
    return data_center.metadata.get("instance-id")


def _carried(instance: Mapping[str, object]) -> dict[str, str]:
    carried = {name: text for name in _CARRIED if (text := _text(instance.get(name))) is not None}
    if "appGroupName" in carried:
        carried["appGroupName"] = carried["appGroupName"].upper()
    return carried


def _object(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnreadableBodyError("an object was expected")
    return value


def _string_map(value: object) -> dict[str, str]:
    """Metadata: scalars become strings, `null` becomes "null" as in Java; `@class` is the codec's, not the client's."""
    return {
        key: "null" if entry is None else _scalar(entry) for key, entry in _object(value).items() if key != "@class"
    }


def _port(value: object, *, default: Port) -> Port:
    if value is None:
        return default
    fields = _object(value)
    if set(fields) - {"$", "@enabled"}:
        raise UnreadableBodyError("port")
    number = _integer(fields["$"], default=0) if "$" in fields else default.number
    enabled = fields["@enabled"] in (True, "true") if "@enabled" in fields else default.enabled
    return Port(number, enabled)


def _status(value: object, *, default: Status) -> Status:
    text = _text(value)
    return default if text is None else Status(text)


def _text(value: object) -> str | None:
    return None if value is None else _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    raise UnreadableBodyError("a string was expected")


def _positive(value: object, *, default: int) -> int:
    number = _integer(value, default=default)
    return number if number > 0 else default


def _optional_long(value: object) -> int | None:
    return None if value is None else _integer(value, default=0, largest=MAX_LONG)


def _integer(value: object, *, default: int, largest: int = MAX_INT) -> int:
    """As Jackson's `getValueAsInt`: strings are read, unreadable ones are 0, fractions are cut off."""
    if value is None:
        return default
    try:
        number = int(value if isinstance(value, (int, float)) else _scalar(value))
    except ValueError:
        return 0
    except OverflowError as error:
        raise UnreadableBodyError("number out of range") from error
    if abs(number) > largest:
        raise UnreadableBodyError("number out of range")
    return number

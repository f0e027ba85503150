"""Reading an instance from JSON, as leniently and as strictly as Eureka reads it.

Source: Netflix eureka 2.0.5 `EurekaJacksonCodec`. Scalars are converted, unreadable numbers become 0, unknown fields
are ignored.
"""

from collections.abc import Mapping
from typing import Any

from registry.instance import Status
from registry.server.jackson import MAX_LONG, decode, fields_of, integer, scalar_text, text
from registry.server.registration import (
    AMAZON_CLASS,
    NO_DATA_CENTER,
    PLAIN_CLASS,
    DataCenter,
    Port,
    Registration,
    UnreadableBodyError,
)

DEFAULT_DURATION_S = 90
DEFAULT_RENEWAL_INTERVAL_S = 30

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
_MACHINE_ID = "instance-id"  # key of the Amazon metadata


def read_json(body: bytes) -> Registration:
    """Reads `{"instance": {...}}`. Raises UnreadableBodyError."""
    document = decode(body)
    if not isinstance(document, dict) or set(document) != {"instance"} or document["instance"] is None:
        raise UnreadableBodyError("no instance root")
    return registration_of(fields_of(document["instance"]))


def registration_of(instance: Mapping[str, Any]) -> Registration:
    """Reads the fields inside `instance`. Raises UnreadableBodyError."""
    data_center = _data_center(instance.get("dataCenterInfo"))
    instance_id = text(instance.get("instanceId"))
    host = text(instance.get("hostName"))
    app = text(instance.get("app"))
    if app is None:
        raise UnreadableBodyError("app")  # the Java builder refuses to build without a name
    id = instance_id or _machine_id(data_center) or host or ""
    lease = fields_of(instance.get("leaseInfo"))
    return Registration(
        app=app.upper(),
        id=id,
        instance_id=instance_id,
        host=host or "",
        ip=text(instance.get("ipAddr")) or "",
        sid=text(instance.get("sid")),
        status=_status(instance.get("status"), default=Status.UP),
        overridden=_status(instance.get("overriddenStatus", instance.get("overriddenstatus")), default=Status.UNKNOWN),
        port=_port(instance.get("port"), default=Port(7001, enabled=True)),
        secure_port=_port(instance.get("securePort"), default=Port(7002, enabled=False)),
        country_id=integer(instance.get("countryId"), default=1),
        data_center=_with_machine_id(data_center, id),
        duration_s=_positive(lease.get("durationInSecs"), default=DEFAULT_DURATION_S),
        renewal_interval_s=_positive(lease.get("renewalIntervalInSecs"), default=DEFAULT_RENEWAL_INTERVAL_S),
        metadata=_string_map(instance.get("metadata")),
        carried=_carried(instance),
        last_dirty_ms=_optional_long(instance.get("lastDirtyTimestamp")),
    )


def _data_center(value: object) -> DataCenter:
    if value is None:
        return NO_DATA_CENTER
    fields = fields_of(value)
    class_name = _CLASSES.get(text(fields.get("@class")) or "")
    name = text(fields.get("name"))
    if class_name is None or (name is not None and name not in _DATA_CENTER_NAMES):
        raise UnreadableBodyError("dataCenterInfo")
    if class_name == AMAZON_CLASS:
        return DataCenter("Amazon", AMAZON_CLASS, _string_map(fields.get("metadata")))
    if set(fields) - {"@class", "name"}:
        raise UnreadableBodyError("dataCenterInfo")
    return DataCenter(name)


def _machine_id(data_center: DataCenter) -> str | None:
    """`InstanceInfo.getId`: an Amazon instance without an id of its own is known by its machine's."""
    return None if data_center.metadata is None else data_center.metadata.get(_MACHINE_ID)


def _with_machine_id(data_center: DataCenter, id: str) -> DataCenter:
    """`ApplicationResource.addInstance`: Amazon metadata without a machine id gets the instance's."""
    if data_center.metadata is None or data_center.metadata.get(_MACHINE_ID):
        return data_center
    return DataCenter(data_center.name, data_center.class_name, {**data_center.metadata, _MACHINE_ID: id})


def _carried(instance: Mapping[str, object]) -> dict[str, str]:
    carried = {name: it for name in _CARRIED if (it := text(instance.get(name))) is not None}
    if "appGroupName" in carried:
        carried["appGroupName"] = carried["appGroupName"].upper()
    return carried


def _string_map(value: object) -> dict[str, str]:
    """Metadata: scalars become strings, `null` becomes "null" as in Java; `@class` is the codec's, not the client's."""
    return {
        key: "null" if entry is None else scalar_text(entry)
        for key, entry in fields_of(value).items()
        if key != "@class"
    }


def _port(value: object, *, default: Port) -> Port:
    if value is None:
        return default
    fields = fields_of(value)
    if set(fields) - {"$", "@enabled"}:
        raise UnreadableBodyError("port")
    number = integer(fields["$"], default=0) if "$" in fields else default.number
    enabled = fields["@enabled"] in (True, "true") if "@enabled" in fields else default.enabled
    return Port(number, enabled)


def _status(value: object, *, default: Status) -> Status:
    spelling = text(value)
    return default if spelling is None else Status(spelling)


def _positive(value: object, *, default: int) -> int:
    number = integer(value, default=default)
    return number if number > 0 else default


def _optional_long(value: object) -> int | None:
    return None if value is None else integer(value, default=0, largest=MAX_LONG)

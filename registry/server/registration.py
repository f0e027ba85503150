"""What a client may register, whatever form its body has.

Source: Netflix eureka 2.0.5 `InstanceInfo` and `ApplicationResource.addInstance`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from registry.instance import Status

AMAZON_CLASS = "com.netflix.appinfo.AmazonInfo"
PLAIN_CLASS = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"


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
    """`metadata` is None for every class but Amazon's; `class_name` is empty where the client sent no data center."""

    name: str | None
    class_name: str = PLAIN_CLASS
    metadata: Mapping[str, str] | None = None


NO_DATA_CENTER = DataCenter(None, class_name="")


@dataclass(frozen=True, slots=True)
class Registration:
    """One instance as its client described it; a text the client left out is empty.

    `instance_id` is None where the client sent none and `id` stands in. `carried` are the strings that the registry
    carries without looking at them, by their JSON name.
    """

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


def require_complete(registration: Registration, app: str) -> None:
    """The checks of a registration posted to `apps/{app}` (upper case), in Eureka's order.

    Raises InvalidRegistrationError.
    """
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
    if registration.data_center == NO_DATA_CENTER:
        raise InvalidRegistrationError("Missing dataCenterInfo")
    if registration.data_center.name is None:
        raise InvalidRegistrationError("Missing dataCenterInfo Name")

"""What Netflix Prana and Spring Cloud Netflix Sidecar answer on their own port: their shapes, not their defects.

Clients of either parse these answers, so the names and forms are theirs: HealthCheckHandler, HostsHandler,
DynamicPropertiesHandler and ProxyHandler of Prana, SidecarController and EurekaServiceInstance of Spring.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import unquote_to_bytes

from admin.views import AppView
from prana.errors import BadRequest
from registry.instance import Instance, Status

SHADOWING: Mapping[str, str] = {
    "ping": "/ping",
    "healthcheck": "/healthcheck",
    "status": "/status",
    "dynamicproperties": "/dynamicproperties",
    "proxy": "/proxy",
    "eureka": "/eureka/hosts",
    "hosts": "/hosts and /hosts/NAME",
}
"""The paths served, by their first segment: a service of that name is not reached by them."""

HEALTHY = b"<health>ok</health>"
UNHEALTHY = "<health>fail</health>"

Parameters = Mapping[str, Sequence[bytes]]

# What a request line may hold (RFC 9112 section 3) after one decoding, so that nothing can be slipped into it.
_PATH = re.compile(rb"/[!-~]*")
_REFUSED_IN_PATH = frozenset(b"\\#")
_WORST_FIRST = (Status.DOWN, Status.OUT_OF_SERVICE, Status.STARTING, Status.UNKNOWN, Status.UP)


def parameters(query: bytes) -> Parameters:
    """The parameters of a query in order, decoded once, `+` as a space. Raises BadRequest for a name no UTF-8."""
    found: dict[str, list[bytes]] = {}
    for part in query.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            found.setdefault(text(_decoded(name)), []).append(_decoded(value))
    return found


def _decoded(part: bytes) -> bytes:
    return unquote_to_bytes(part.replace(b"+", b" "))


def single(given: Parameters, name: str) -> bytes:
    """The value of a parameter, b"" when it is missing. Raises BadRequest when it is ambiguous."""
    values = given.get(name, ())
    if len(values) > 1:
        raise BadRequest(f"{name} is given more than once")
    return values[0] if values else b""


def text(raw: bytes) -> str:
    """Raises BadRequest for what is no UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadRequest("a name or value is not UTF-8") from None


def required(given: Parameters, name: str) -> str:
    """The text of a parameter. Raises BadRequest, in the original's words when it is missing."""
    value = text(single(given, name))
    if not value:
        raise BadRequest(f"{name} has to be specified")
    return value


def proxied(given: Parameters) -> tuple[bytes, bytes]:
    """What `/proxy?vip=&path=` addresses: the VIP as given, and the path with its query. Raises BadRequest."""
    vip, path = single(given, "vip"), single(given, "path") or b"/"
    if not vip:
        raise BadRequest("vip has to be specified")
    if _PATH.fullmatch(path) is None or not _REFUSED_IN_PATH.isdisjoint(path):
        raise BadRequest(
            "path, decoded once, must start with / and have no space, control or non-ASCII character, \\ or #; "
            "percent-encode it as the instance is to read it, then once more as a parameter"
        )
    return vip, path


def healthy(apps: Sequence[AppView]) -> bool:
    """Whether all apps are well; with none there is nothing that could be ill, as with Prana's empty health URL."""
    return all(app.healthy for app in apps)


def status(apps: Sequence[AppView], *, draining: bool) -> dict[str, str]:
    """What Eureka is told about the app, of several about the worst."""
    if draining:
        return {"status": Status.OUT_OF_SERVICE.value}
    statuses = [Status(app.status) for app in apps] or [Status.UNKNOWN]
    return {"status": min(statuses, key=_WORST_FIRST.index).value}


def properties(ids: Iterable[bytes], lookup: Callable[[str], str | None]) -> dict[str, str | None]:
    """Null for what is not set. Raises BadRequest for an id that is no UTF-8."""
    return {name: lookup(name) for name in map(text, ids)}


def host_names(instances: Iterable[Instance], vip: str) -> list[str]:
    """One host name for each instance; with `vip` of those with a VIP that contains it, whatever its case."""
    return [each.host for each in instances if vip.lower() in ",".join(each.vips)]


def service_instance(instance: Instance) -> dict[str, object]:
    """Spring's EurekaServiceInstance: a secure port, where there is one, is the port."""
    secure = instance.secure_port > 0
    port = instance.secure_port if secure else instance.port
    scheme = "https" if secure else "http"
    host = f"[{instance.host}]" if ":" in instance.host else instance.host
    return {
        "host": instance.host,
        "port": port,
        "uri": f"{scheme}://{host}:{port}",
        "serviceId": instance.app,
        "secure": secure,
        "metadata": dict(instance.metadata),
        "scheme": scheme,
        "instanceId": instance.id,
        "instanceInfo": _instance_info(instance),
    }


def _instance_info(instance: Instance) -> dict[str, object]:
    """Netflix's InstanceInfo, as far as the registry's readers keep it."""
    return {
        "instanceId": instance.id,
        "app": instance.app,
        "ipAddr": instance.ip,
        "hostName": instance.host,
        "vipAddress": ",".join(instance.vips),
        "secureVipAddress": ",".join(instance.secure_vips),
        "status": instance.status.value,
        "metadata": dict(instance.metadata),
        "lastUpdatedTimestamp": instance.last_updated_ms,
        "lastDirtyTimestamp": instance.last_dirty_ms,
    }

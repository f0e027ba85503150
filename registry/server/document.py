"""What the server answers with: Eureka's documents, as JSON and as XML.

One tree serves both. Its JSON form has exactly the fields and types of Netflix eureka 2.0.6 `EurekaJacksonCodec`:
strict Java clients reject a whole registry over one unknown key. The XML form renames what XStream renamed.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

import msgspec

from registry.server.registration import DataCenter, Port
from registry.server.store import Lease, hashcode

Document = dict[str, Any]

_EMPTY_METADATA = {"@class": "java.util.Collections$EmptyMap"}
_HIDDEN_SIDS = {None, "na", "unknown"}
_NAME_START = re.compile("[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]")
_NO_XML_CHAR = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 section 2.2


def instance_document(lease: Lease) -> Document:
    return {"instance": _instance(lease)}


def application_document(app: str, leases: Iterable[Lease]) -> Document:
    return {"application": _application(app, leases)}


def applications_document(leases: Iterable[Lease], *, version: str, counted: Iterable[Lease]) -> Document:
    """The list of applications; `counted` are the instances that `apps__hashcode` speaks about."""
    by_app: dict[str, list[Lease]] = {}
    for lease in leases:
        by_app.setdefault(lease.registration.app, []).append(lease)
    return {
        "applications": {
            "versions__delta": version,
            "apps__hashcode": hashcode(counted),
            "application": [_application(app, members) for app, members in by_app.items()],
        }
    }


def to_json(document: Document) -> bytes:
    return msgspec.json.encode(document)


def to_xml(document: Document) -> bytes:
    ((name, content),) = document.items()
    root = ElementTree.Element(name)
    _fill(root, content)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode").encode()


def _application(app: str, leases: Iterable[Lease]) -> Document:
    return {"name": app, "instance": [_instance(lease) for lease in leases]}


def _instance(lease: Lease) -> Document:
    registration = lease.registration
    fields: Document = {
        "instanceId": registration.instance_id,
        "hostName": registration.host,
        "app": registration.app,
        "ipAddr": registration.ip,
        "sid": None if registration.sid in _HIDDEN_SIDS else registration.sid,
        "status": lease.status.value,
        "overriddenStatus": lease.overridden.value,
        "port": _port(registration.port),
        "securePort": _port(registration.secure_port),
        "countryId": registration.country_id,
        "dataCenterInfo": _data_center(registration.data_center),
        "leaseInfo": _lease_info(lease),
        "metadata": _metadata(registration.metadata),
        **registration.carried,
        # Only a Eureka server that registers with itself is one.
        "isCoordinatingDiscoveryServer": "false",
        "lastUpdatedTimestamp": str(lease.last_updated_ms),
        "lastDirtyTimestamp": str(lease.last_dirty_ms),
        "actionType": lease.action,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _lease_info(lease: Lease) -> dict[str, int]:
    return {
        "renewalIntervalInSecs": lease.registration.renewal_interval_s,
        "durationInSecs": lease.registration.duration_s,
        "registrationTimestamp": lease.registered_ms,
        "lastRenewalTimestamp": lease.renewed_ms,
        "evictionTimestamp": lease.evicted_ms,
        "serviceUpTimestamp": lease.service_up_ms,
    }


def _port(port: Port) -> Document:
    return {"$": port.number, "@enabled": "true" if port.enabled else "false"}


def _data_center(data_center: DataCenter) -> Document:
    document: Document = {"@class": data_center.class_name, "name": data_center.name}
    if data_center.metadata is not None:
        document["metadata"] = _metadata(data_center.metadata)
    return document


def _metadata(metadata: Mapping[str, str]) -> Mapping[str, str]:
    return metadata or _EMPTY_METADATA


def _fill(element: ElementTree.Element, content: Any) -> None:
    if not isinstance(content, dict):
        element.text = _NO_XML_CHAR.sub("\N{REPLACEMENT CHARACTER}", str(content))
    elif element.tag == "metadata" and content is not _EMPTY_METADATA:
        for key, text in content.items():
            if key:  # an element needs a name; Java writes `<>` here, which nobody can read
                _fill(ElementTree.SubElement(element, _element_name(key)), text)
    else:
        for key, child in content.items():
            _add(element, key, child)


def _add(element: ElementTree.Element, key: str, child: Any) -> None:
    if key.startswith("@"):
        element.set(key[1:], child)
    elif key == "$":
        element.text = str(child)
    else:
        name = "overriddenstatus" if key == "overriddenStatus" else key
        for item in child if isinstance(child, list) else [child]:
            _fill(ElementTree.SubElement(element, name), item)


def _element_name(key: str) -> str:
    """XStream's XmlFriendlyNameCoder: metadata `my_key` is seen as `my__key`, `$x` as `_-x`, `a b` as `a_.0020b`."""
    return "".join(_name_part(char, first=at == 0) for at, char in enumerate(key))


def _name_part(char: str, *, first: bool) -> str:
    if char == "_":
        return "__"
    if char == "$":
        return "_-"
    if _NAME_START.match(char) or (not first and char in "-.0123456789"):
        return char
    # XStream lets `:` pass, which is no well-formed document without a namespace; the escape is.
    return f"_.{ord(char):04x}"

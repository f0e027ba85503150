"""What the server answers with: Eureka's documents as one tree, which `to_json` and `to_xml` write.

The full form has exactly the fields and types of Netflix eureka 2.0.5 `EurekaJacksonCodec`: strict Java clients
reject a whole registry over one unknown key. The compact one is that of `EurekaJsonJacksonCodec` with
`MiniInstanceInfoMixIn`. Keys as in JSON: `@x` is an attribute in XML, `$` its text.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from registry.server.lease import Lease, hashcode
from registry.server.registration import DataCenter, Port

Document = dict[str, Any]

EMPTY_METADATA = {"@class": "java.util.Collections$EmptyMap"}
_HIDDEN_SIDS = {None, "na", "unknown"}
_COMPACT_CARRIED = ("vipAddress", "secureVipAddress", "asgName")


def to_json(document: Document) -> bytes:
    return msgspec.json.encode(document)


def instance_document(lease: Lease) -> Document:
    return {"instance": instance_fields(lease)}


def application_document(app: str, leases: Iterable[Lease], *, compact: bool = False) -> Document:
    return {"application": _application(app, leases, compact=compact)}


def applications_document(
    leases: Iterable[Lease], *, version: str, counted: Iterable[Lease], compact: bool = False
) -> Document:
    """The list of applications; `counted` are the instances that `apps__hashcode` speaks about."""
    by_app: dict[str, list[Lease]] = {}
    for lease in leases:
        by_app.setdefault(lease.registration.app, []).append(lease)
    return {
        "applications": {
            "versions__delta": version,
            "apps__hashcode": hashcode(counted),
            "application": [_application(app, members, compact=compact) for app, members in by_app.items()],
        }
    }


def instance_fields(lease: Lease) -> Document:
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
        "metadata": registration.metadata or EMPTY_METADATA,
        **registration.carried,
        # Only a Eureka server that registers with itself is one.
        "isCoordinatingDiscoveryServer": "false",
        "lastUpdatedTimestamp": str(lease.last_updated_ms),
        "lastDirtyTimestamp": str(lease.last_dirty_ms),
        "actionType": lease.action,
    }
    return _present(fields)


def _application(app: str, leases: Iterable[Lease], *, compact: bool) -> Document:
    fields = _compact_fields if compact else instance_fields
    return {"name": app, "instance": [fields(lease) for lease in leases]}


def _compact_fields(lease: Lease) -> Document:
    registration = lease.registration
    fields: Document = {
        "instanceId": registration.instance_id,
        "app": registration.app,
        "ipAddr": registration.ip,
        "hostName": registration.host,
        "status": lease.status.value,
        "port": _port(registration.port),
        "securePort": _port(registration.secure_port),
        "dataCenterInfo": _data_center(registration.data_center),
        **{name: registration.carried.get(name) for name in _COMPACT_CARRIED},
        "lastUpdatedTimestamp": lease.last_updated_ms,
        "actionType": lease.action,
    }
    return _present(fields)


def _present(fields: Document) -> Document:
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
        document["metadata"] = data_center.metadata
    return document

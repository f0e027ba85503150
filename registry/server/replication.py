"""Writes that a peer server passes on, one by one or in a batch. They are believed, and never passed on again.

Source: Netflix eureka 2.0.5 `InstanceResource.renewLease` and `PeerReplicationResource`.
"""

from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from registry.instance import Status
from registry.server.document import Document, instance_fields
from registry.server.jackson import MAX_LONG, decode, fields_of, integer, text
from registry.server.json_body import registration_of
from registry.server.lease import Lease
from registry.server.registration import (
    InvalidRegistrationError,
    Registration,
    UnreadableBodyError,
    require_complete,
)
from registry.server.store import LeaseStore, Renewal

_FIELDS = {"appName", "id", "lastDirtyTimestamp", "overriddenStatus", "status", "instanceInfo", "action"}
_PROTOCOL = "com.netflix.eureka.cluster.protocol."  # XStream names elements by class


class EmptyBatchError(ValueError):
    """A batch, or an entry of one, is missing or null; Eureka answers 500."""


class Answer(NamedTuple):
    """`lease` is what the peer has to take over, with status 409."""

    status: int
    lease: Lease | None = None


class Action(Enum):
    HEARTBEAT = "Heartbeat"
    REGISTER = "Register"
    CANCEL = "Cancel"
    STATUS_UPDATE = "StatusUpdate"
    DELETE_STATUS_OVERRIDE = "DeleteStatusOverride"


@dataclass(frozen=True, slots=True)
class Write:
    """One entry of a batch."""

    app: str | None
    id: str | None
    action: Action | None
    last_dirty_ms: int | None
    status: str | None
    overridden: str | None
    registration: Registration | None


def read_batch(body: bytes) -> list[Write]:
    """Raises UnreadableBodyError and EmptyBatchError; nothing of such a batch is to be applied."""
    document = decode(body)
    if document is None:
        raise EmptyBatchError("no document")
    fields = fields_of(document)
    if set(fields) - {"replicationList"}:
        raise UnreadableBodyError("unknown field")
    entries = fields.get("replicationList")
    if entries is None:
        raise EmptyBatchError("no list")
    if not isinstance(entries, list):
        raise UnreadableBodyError("a list was expected")
    return [_write_of(entry) for entry in entries]


def batch_document(answers: list[Answer]) -> tuple[Document, Document]:
    """The answers as JSON and as XML have them."""
    responses = [_response(answer) for answer in answers]
    return (
        {"responseList": responses},
        {
            f"{_PROTOCOL}ReplicationListResponse": {
                "responseList": {f"{_PROTOCOL}ReplicationInstanceResponse": responses}
            }
        },
    )


def apply(write: Write, store: LeaseStore) -> Answer:
    """Any failure is the answer of this one write, 500, and the next one follows."""
    if write.app is None or write.id is None:
        return Answer(500)
    app, id, last_dirty_ms = write.app.upper(), write.id, write.last_dirty_ms
    status = Status.UNKNOWN if write.status is None else Status.__members__.get(write.status)
    match write.action:
        case Action.HEARTBEAT:
            return heartbeat(store, app, id, last_dirty_ms, write.overridden)
        case Action.REGISTER if write.registration is not None:
            # Eureka does not tell the peer what it refuses.
            with suppress(InvalidRegistrationError):
                require_complete(write.registration, app)
                store.register(write.registration, replicated=True)
            return Answer(200)
        case Action.CANCEL:
            return _found(store.cancel(app, id))
        case Action.STATUS_UPDATE if status is not None and write.status is not None:
            return _found(store.override(app, id, status, last_dirty_ms))
        case Action.DELETE_STATUS_OVERRIDE if status is not None and last_dirty_ms is not None:
            return _found(store.drop_override(app, id, status, last_dirty_ms))
        case _:
            return Answer(500)


def heartbeat(
    store: LeaseStore, app: str, instance_id: str, last_dirty_ms: int | None, overridden: str | None
) -> Answer:
    """A replicated heartbeat: of two descriptions that differ, the newer is sent to the server that has the older."""
    match store.renew(app, instance_id, last_dirty_ms):
        case Renewal.STORED_IS_NEWER:
            return Answer(409, store.find(app, instance_id))
        case Renewal.STORED_IS_OLDER:
            if overridden is not None and overridden != Status.UNKNOWN:
                if overridden not in Status.__members__:
                    return Answer(500)
                store.adopt_override(app, instance_id, Status(overridden))
            return Answer(404)
        case Renewal.UNKNOWN:
            return Answer(404)
        case Renewal.SAME:
            return Answer(200)


def _write_of(entry: Any) -> Write:
    if entry is None:
        raise EmptyBatchError("no entry")
    fields = fields_of(entry)
    if set(fields) - _FIELDS:
        raise UnreadableBodyError("unknown field")
    info = fields.get("instanceInfo")
    return Write(
        app=text(fields.get("appName")),
        id=text(fields.get("id")),
        action=_action(text(fields.get("action"))),
        last_dirty_ms=_last_dirty_ms(fields.get("lastDirtyTimestamp")),
        status=text(fields.get("status")),
        overridden=text(fields.get("overriddenStatus")),
        registration=None if info is None else registration_of(fields_of(info)),
    )


def _action(name: str | None) -> Action | None:
    try:
        return None if name is None else Action(name)
    except ValueError as error:
        raise UnreadableBodyError("action") from error


def _last_dirty_ms(value: object) -> int | None:
    """Unlike in an instance, a text must be a number here."""
    if value is None:
        return None
    if isinstance(value, str) and not value.strip().lstrip("-").isdecimal():
        raise UnreadableBodyError("lastDirtyTimestamp")
    return integer(value, default=0, largest=MAX_LONG)


def _response(answer: Answer) -> Document:
    response: Document = {"statusCode": answer.status}
    if answer.lease is not None:
        response["responseEntity"] = instance_fields(answer.lease)
    return response


def _found(found: bool) -> Answer:
    return Answer(200 if found else 404)

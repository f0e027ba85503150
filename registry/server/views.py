"""What the list endpoints show, as bytes."""

from typing import Literal, NamedTuple

from registry.server.document import Document, application_document, applications_document
from registry.server.media import Form, written
from registry.server.store import LeaseStore

Kind = Literal["all", "delta", "app", "vip", "svip"]


class View(NamedTuple):
    """`name` is the application in upper case, or the VIP; empty for `all` and `delta`."""

    kind: Kind
    name: str
    form: Form
    compact: bool


def render(store: LeaseStore, view: View) -> bytes | None:
    """None: there is no such application. An unknown VIP is an empty list."""
    document = _document(store, view)
    return None if document is None else written(document, view.form)


def _document(store: LeaseStore, view: View) -> Document | None:
    compact = view.compact
    if view.kind == "app":
        leases = store.application(view.name)
        return application_document(view.name, leases, compact=compact) if leases else None
    if view.kind == "delta":
        version = str(store.version)
        return applications_document(store.changes(), version=version, counted=store.leases(), compact=compact)
    leases = list(store.leases())
    if view.kind == "all":
        return applications_document(leases, version="1", counted=leases, compact=compact)
    if view.kind == "vip":
        named = [it for it in leases if view.name in it.registration.vips]
    else:
        named = [it for it in leases if view.name in it.registration.secure_vips]
    return applications_document(named, version="-1", counted=named, compact=compact)

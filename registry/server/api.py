"""Eureka's REST interface: `/eureka/...` and, the same, `/eureka/v2/...`.

Errors have an empty body (a JSON body on a heartbeat's 404 kept Java clients from ever registering again), but for
the 400 texts of a registration. A status or timestamp that cannot be read is 500, as in Eureka.
"""

import re

from aiohttp import web

from registry.instance import Status
from registry.server import replication
from registry.server.about import XML_ROOT, About
from registry.server.cache import ResponseCache
from registry.server.document import Document, instance_document, to_json
from registry.server.http import (
    MAX_BODY_BYTES,
    accepted,
    answered,
    empty,
    empty_errors,
    only_acceptable,
    read_body,
    unreadable,
)
from registry.server.jackson import MAX_LONG
from registry.server.json_body import read_json
from registry.server.lease import Lease
from registry.server.media import CONTENT_TYPES, listed_form
from registry.server.page import render_page
from registry.server.registration import InvalidRegistrationError, UnreadableBodyError, require_complete
from registry.server.store import LeaseStore, Renewal
from registry.server.views import Kind, View
from registry.server.xml_body import read_xml

BASES = ("/eureka", "/eureka/v2")  # Spring Cloud's and the Netflix WAR's


def build_app(api: "EurekaApi") -> web.Application:
    app = web.Application(middlewares=[empty_errors, only_acceptable], client_max_size=MAX_BODY_BYTES)
    app.router.add_get("/", api.page)
    app.router.add_get("/eureka/serverinfo/statusoverrides", api.overrides)
    for base in BASES:
        app.router.add_routes(api.routes(base))
    return app


class EurekaApi:
    """One method per endpoint of the protocol."""

    def __init__(self, store: LeaseStore, cache: ResponseCache[View], about: About) -> None:
        self._store = store
        self._cache = cache
        self._about = about

    def routes(self, base: str) -> list[web.RouteDef]:
        instance = f"{base}/apps/{{app}}/{{id}}"
        return [
            web.get(f"{base}/apps{{slash:/?}}", self.applications),
            web.get(f"{base}/apps/delta{{slash:/?}}", self.delta),
            web.get(f"{base}/apps/{{app}}", self.application),
            web.post(f"{base}/apps/{{app}}", self.register),
            web.get(instance, self.instance),
            web.put(instance, self.renew),
            web.delete(instance, self.cancel),
            web.put(f"{instance}/status", self.override),
            web.delete(f"{instance}/status", self.drop_override),
            web.put(f"{instance}/metadata", self.put_metadata),
            web.get(f"{base}/instances/{{id}}", self.instance_by_id),
            web.get(f"{base}/vips/{{name}}", self.vip),
            web.get(f"{base}/svips/{{name}}", self.secure_vip),
            web.post(f"{base}/peerreplication/batch{{slash:/?}}", self.batch),
            web.get(f"{base}/status", self.status),
            web.put(f"{base}/asg/{{name}}/status", self.scaling_group),
        ]

    async def page(self, _request: web.Request) -> web.Response:
        return render_page(list(self._store.leases()), preserving=self._store.preserving)

    async def applications(self, request: web.Request) -> web.Response:
        return self._listed(request, "all", "", may_gzip=True)

    async def delta(self, request: web.Request) -> web.Response:
        return self._listed(request, "delta", "", may_gzip=True)

    async def application(self, request: web.Request) -> web.Response:
        return self._listed(request, "app", _app(request))

    async def vip(self, request: web.Request) -> web.Response:
        return self._listed(request, "vip", request.match_info["name"])

    async def secure_vip(self, request: web.Request) -> web.Response:
        return self._listed(request, "svip", request.match_info["name"])

    async def instance(self, request: web.Request) -> web.Response:
        return _one(request, self._store.find(*_key(request)))

    async def instance_by_id(self, request: web.Request) -> web.Response:
        return _one(request, self._store.find_by_id(request.match_info["id"]))

    async def register(self, request: web.Request) -> web.Response:
        content_type, body = await read_body(request)
        try:
            registration = read_xml(body) if content_type == CONTENT_TYPES["xml"] else read_json(body)
            require_complete(registration, _app(request))
        except UnreadableBodyError:
            return unreadable(content_type)
        except InvalidRegistrationError as error:
            content_type = CONTENT_TYPES[accepted(request)]
            return web.Response(status=400, body=str(error).encode(), content_type=content_type)
        self._store.register(registration, replicated=_replicated(request))
        return empty(204)

    async def renew(self, request: web.Request) -> web.Response:
        key, last_dirty_ms = _key(request), _last_dirty_ms(request)
        if not _replicated(request):
            renewal = self._store.renew(*key, last_dirty_ms)
            return _done(renewal in (Renewal.SAME, Renewal.STORED_IS_NEWER))
        answer = replication.heartbeat(self._store, *key, last_dirty_ms, request.query.get("overriddenstatus"))
        if answer.lease is None:
            return empty(answer.status)
        return answered(instance_document(answer.lease), accepted(request), answer.status)

    async def cancel(self, request: web.Request) -> web.Response:
        return _done(self._store.cancel(*_key(request)))

    async def override(self, request: web.Request) -> web.Response:
        app, instance_id = _key(request)
        if self._store.find(app, instance_id) is None:
            return empty(404)
        status = _status(request.query.get("value"))
        return _done(self._store.override(app, instance_id, status, _last_dirty_ms(request)))

    async def drop_override(self, request: web.Request) -> web.Response:
        app, instance_id = _key(request)
        if self._store.find(app, instance_id) is None:
            return empty(404)
        status = _status(request.query.get("value", Status.UNKNOWN))
        return _done(self._store.drop_override(app, instance_id, status, _last_dirty_ms(request)))

    async def put_metadata(self, request: web.Request) -> web.Response:
        first_values = {key: request.query.getone(key) for key in request.query}
        return _done(self._store.put_metadata(*_key(request), first_values))

    async def batch(self, request: web.Request) -> web.Response:
        content_type, body = await read_body(request)
        try:
            if content_type != CONTENT_TYPES["json"]:
                raise UnreadableBodyError("Eureka has no XML form of a batch")
            writes = replication.read_batch(body)
        except UnreadableBodyError:
            return unreadable(content_type)
        except replication.EmptyBatchError:
            return empty(500)
        as_json, as_xml = replication.batch_document([replication.apply(write, self._store) for write in writes])
        form = accepted(request)
        return answered(as_json if form == "json" else as_xml, form)

    async def status(self, request: web.Request) -> web.Response:
        host, port = request.get_extra_info("sockname", ("", 0))[:2]  # nothing when the client has gone
        document: Document = self._about.document(host, port)
        form = accepted(request)
        return answered(document if form == "json" else {XML_ROOT: document}, form)

    async def overrides(self, _request: web.Request) -> web.Response:
        body = to_json({id: status.value for id, status in self._store.overrides.items()})
        return web.Response(body=body, content_type=CONTENT_TYPES["json"])

    async def scaling_group(self, _request: web.Request) -> web.Response:
        """There are no auto-scaling groups beyond AWS; Eureka says so with 400."""
        return empty(400)

    def _listed(self, request: web.Request, kind: Kind, name: str, *, may_gzip: bool = False) -> web.Response:
        form = listed_form(request.headers.get("Accept", ""))
        compact = request.headers.get("X-Eureka-Accept", "").lower() == "compact"
        payload = self._cache.get(View(kind, name, form, compact))
        if payload is None:
            return empty(404)
        content_type = CONTENT_TYPES[form]
        if may_gzip and "gzip" in request.headers.get("Accept-Encoding", ""):
            headers = {"Content-Encoding": "gzip"}
            return web.Response(body=payload.gzipped, content_type=content_type, headers=headers)
        return web.Response(body=payload.plain, content_type=content_type)


def _app(request: web.Request) -> str:
    return request.match_info["app"].upper()


def _key(request: web.Request) -> tuple[str, str]:
    return _app(request), request.match_info["id"]


def _replicated(request: web.Request) -> bool:
    return request.headers.get("x-netflix-discovery-replication") == "true"


def _last_dirty_ms(request: web.Request) -> int | None:
    """As `Long.valueOf` reads it."""
    text = request.query.get("lastDirtyTimestamp")
    if text is None:
        return None
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text) or abs(int(text)) > MAX_LONG:
        raise web.HTTPInternalServerError
    return int(text)


def _status(text: str | None) -> Status:
    """Exact and case-sensitive, unlike in a registration, where an unknown spelling is UNKNOWN."""
    if text is None or text not in Status.__members__:
        raise web.HTTPInternalServerError
    return Status(text)


def _one(request: web.Request, lease: Lease | None) -> web.Response:
    return empty(404) if lease is None else answered(instance_document(lease), accepted(request))


def _done(found: bool) -> web.Response:
    return empty(200 if found else 404)

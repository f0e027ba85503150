"""Eureka's REST interface over a `LeaseStore`: `/eureka/...` and, the same, `/eureka/v2/...`.

Not here yet, and answered with 404: peer replication, `status`, `asg`, `serverinfo`. XML request bodies are 415.
Errors have an empty body (a JSON body on a heartbeat's 404 kept Java clients from ever registering again), but for
the 400 texts of a registration. A status or timestamp that cannot be read is 500, as in Eureka.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from registry.instance import Status
from registry.server.document import (
    Document,
    application_document,
    applications_document,
    instance_document,
    to_json,
    to_xml,
)
from registry.server.page import render_page
from registry.server.registration import (
    InvalidRegistrationError,
    UnreadableBodyError,
    parse_registration,
)
from registry.server.store import Lease, LeaseStore

BASES = ("/eureka", "/eureka/v2")  # Spring Cloud's and the Netflix WAR's
MAX_BODY_BYTES = 1024 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(store: LeaseStore) -> web.Application:
    app = web.Application(middlewares=[_empty_errors], client_max_size=MAX_BODY_BYTES)
    api = EurekaApi(store)
    app.router.add_get("/", api.page)
    for base in BASES:
        app.router.add_routes(api.routes(base))
    return app


class EurekaApi:
    """One method per endpoint of the protocol."""

    def __init__(self, store: LeaseStore) -> None:
        self._store = store

    def routes(self, base: str) -> list[web.RouteDef]:
        instance = f"{base}/apps/{{app}}/{{id}}"
        return [
            web.get(f"{base}/apps", self.applications),
            web.get(f"{base}/apps/", self.applications),
            web.get(f"{base}/apps/delta", self.delta),
            web.get(f"{base}/apps/delta/", self.delta),
            web.get(f"{base}/apps/{{app}}", self.application),
            web.post(f"{base}/apps/{{app}}", self.register),
            web.get(instance, self.instance),
            web.put(instance, self.renew),
            web.delete(instance, self.cancel),
            web.put(f"{instance}/status", self.override),
            web.delete(f"{instance}/status", self.drop_override),
            web.put(f"{instance}/metadata", self.put_metadata),
            web.get(f"{base}/instances/{{id}}", self.instance_by_id),
            web.get(f"{base}/vips/{{vip}}", self.vip),
            web.get(f"{base}/svips/{{vip}}", self.secure_vip),
        ]

    async def page(self, _request: web.Request) -> web.Response:
        return render_page(list(self._store.leases()))

    async def applications(self, request: web.Request) -> web.Response:
        leases = list(self._store.leases())
        document = applications_document(leases, version="1", counted=leases)
        return _compressed(request, _answer(request, document))

    async def delta(self, request: web.Request) -> web.Response:
        changes, version = self._store.changes(), str(self._store.version)
        document = applications_document(changes, version=version, counted=self._store.leases())
        return _compressed(request, _answer(request, document))

    async def application(self, request: web.Request) -> web.Response:
        app = _app(request)
        leases = self._store.application(app)
        return _answer(request, application_document(app, leases)) if leases else _empty(404)

    async def instance(self, request: web.Request) -> web.Response:
        return _one(request, self._store.find(*_key(request)))

    async def instance_by_id(self, request: web.Request) -> web.Response:
        return _one(request, self._store.find_by_id(request.match_info["id"]))

    async def vip(self, request: web.Request) -> web.Response:
        vip = request.match_info["vip"]
        return _vip_answer(request, [it for it in self._store.leases() if vip in it.registration.vips])

    async def secure_vip(self, request: web.Request) -> web.Response:
        vip = request.match_info["vip"]
        return _vip_answer(request, [it for it in self._store.leases() if vip in it.registration.secure_vips])

    async def register(self, request: web.Request) -> web.Response:
        body = await _json_body(request)
        try:
            self._store.register(parse_registration(_app(request), body))
        except UnreadableBodyError:
            body = b'{"error": "cannot parse request body"}'
            return web.Response(status=400, body=body, content_type="application/json")
        except InvalidRegistrationError as error:
            return web.Response(status=400, body=str(error).encode(), content_type="application/xml")
        return _empty(204)

    async def renew(self, request: web.Request) -> web.Response:
        return _done(self._store.renew(*_key(request), _last_dirty_ms(request)))

    async def cancel(self, request: web.Request) -> web.Response:
        return _done(self._store.cancel(*_key(request)))

    async def override(self, request: web.Request) -> web.Response:
        app, instance_id = _key(request)
        if self._store.find(app, instance_id) is None:
            return _empty(404)
        status = _status(request.query.get("value"))
        return _done(self._store.override(app, instance_id, status, _last_dirty_ms(request)))

    async def drop_override(self, request: web.Request) -> web.Response:
        app, instance_id = _key(request)
        if self._store.find(app, instance_id) is None:
            return _empty(404)
        status = _status(request.query.get("value", Status.UNKNOWN))
        return _done(self._store.drop_override(app, instance_id, status, _last_dirty_ms(request)))

    async def put_metadata(self, request: web.Request) -> web.Response:
        first_values = {key: request.query.getone(key) for key in request.query}
        return _done(self._store.put_metadata(*_key(request), first_values))


@web.middleware
async def _empty_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return _empty(error.status, allow)


def _app(request: web.Request) -> str:
    return request.match_info["app"].upper()


def _key(request: web.Request) -> tuple[str, str]:
    return _app(request), request.match_info["id"]


def _last_dirty_ms(request: web.Request) -> int | None:
    text = request.query.get("lastDirtyTimestamp")
    try:
        return None if text is None else int(text)
    except ValueError as error:
        raise web.HTTPInternalServerError from error


def _status(text: str | None) -> Status:
    """Exact and case-sensitive, unlike in a registration, where an unknown spelling is UNKNOWN."""
    if text is None or text not in Status.__members__:
        raise web.HTTPInternalServerError
    return Status(text)


async def _json_body(request: web.Request) -> bytes:
    charset = (request.charset or "utf-8").lower()
    if request.content_type != "application/json" or charset not in ("utf-8", "iso-8859-1"):
        raise web.HTTPUnsupportedMediaType
    body = await request.read()
    return body if charset == "utf-8" else body.decode(charset).encode()


def _answer(request: web.Request, document: Document) -> web.Response:
    """JSON when Accept names it and does not name XML; XML is Eureka's first choice, also for `*/*` and nothing."""
    accept = request.headers.get("Accept", "")
    if "json" in accept and "xml" not in accept:
        return web.Response(body=to_json(document), content_type="application/json")
    return web.Response(body=to_xml(document), content_type="application/xml")


def _vip_answer(request: web.Request, leases: list[Lease]) -> web.Response:
    return _answer(request, applications_document(leases, version="-1", counted=leases))


def _one(request: web.Request, lease: Lease | None) -> web.Response:
    return _empty(404) if lease is None else _answer(request, instance_document(lease))


def _compressed(request: web.Request, response: web.Response) -> web.Response:
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        response.enable_compression(web.ContentCoding.gzip)
    return response


def _done(found: bool) -> web.Response:
    return _empty(200 if found else 404)


def _empty(status: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, headers=headers, content_type="application/xml")

"""The pages of the admin port: which paths there are, and what each one answers."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import structlog
from aiohttp import web

from admin import access
from admin.documents import breaker_document, info_document, metrics_document, service_document, services_document
from admin.event_stream import hystrix_streams
from admin.exposition import openmetrics_text, prometheus_text
from admin.health import health, readiness
from admin.metrics import ProxyMetrics
from admin.negotiation import Form, negotiate
from admin.problems import SAFETY_HEADERS, problem
from admin.series import families
from admin.views import Force, Operations, Sources

_log = structlog.get_logger()
_NOT_YET = re.compile(r"/|/(config|openapi\.json|drain|undrain|reload|log-level)|/requests/[^/]+")
"""Paths that the admin port is going to have: whoever asks for one hears that it is not a typing error."""


class Pages:
    """Handlers over the views of a running sidecar; `token` is admin.token, empty for none."""

    def __init__(self, sources: Sources, operations: Operations, metrics: ProxyMetrics, token: str) -> None:
        self._sources = sources
        self._operations = operations
        self._metrics = metrics
        self._token = token

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._answer_errors, self._guard])
        app.router.add_get("/health", self.health)
        app.router.add_get("/livez", self.livez)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/info", self.info)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/metrics.json", self.metrics_json)
        app.router.add_get("/prometheus", self.prometheus)
        app.router.add_get("/services", self.services)
        app.router.add_get("/services/{name}", self.service)
        app.router.add_post("/services/{key}/breaker/{operation:force-open|force-closed|auto}", self.force_breaker)
        for path, stream in hystrix_streams(self._sources).items():
            app.router.add_get(path, stream.answer)
            app.on_shutdown.append(stream.close)
        return app

    async def health(self, request: web.Request) -> web.Response:
        """?app=NAME:PORT asks for one of several apps: what Eureka shows as the health page of that app."""
        sources, apps, wanted = self._sources, self._sources.apps(), request.query.get("app")
        if wanted is not None:
            apps = [app for app in apps if app.key == wanted]
            if not apps:
                return problem(404, "no such app", apps=[app.key for app in sources.apps()])
        seen = health(apps, sources.eureka(), sources.proxy(), with_details=self._refusal(request) is None)
        return _json(seen.document, seen.http_status)

    async def livez(self, request: web.Request) -> web.Response:
        """That this is answered at all is the proof: the process lives and its loop turns."""
        return _text("ok\n")

    async def readyz(self, request: web.Request) -> web.Response:
        """Kubernetes' own form: one word, or with ?verbose and when not ready one line per condition."""
        conditions = readiness(self._sources.eureka(), self._sources.proxy())
        ready = all(conditions.values())
        if ready and "verbose" not in request.query:
            return _text("ok\n")
        lines = [f"[+]{name} ok" if holds else f"[-]{name} failed" for name, holds in conditions.items()]
        lines.append("readyz check passed" if ready else "readyz check failed")
        return _text("\n".join(lines) + "\n", 200 if ready else 503)

    async def info(self, request: web.Request) -> web.Response:
        return _json(info_document(self._sources.info()))

    async def metrics(self, request: web.Request) -> web.Response:
        wanted = request.query.get("format")
        if wanted is None:
            form = negotiate(",".join(request.headers.getall("Accept", [])))
        elif wanted in list(Form):
            form = Form(wanted)
        else:
            return problem(400, "no such format", formats=[form.value for form in Form])
        response = self._metrics_as(form)
        response.headers["Vary"] = "Accept"
        return response

    async def metrics_json(self, request: web.Request) -> web.Response:
        return self._metrics_as(Form.JSON)

    async def prometheus(self, request: web.Request) -> web.Response:
        return self._metrics_as(Form.PROMETHEUS)

    async def services(self, request: web.Request) -> web.Response:
        return _json(services_document(self._sources.services()))

    async def service(self, request: web.Request) -> web.Response:
        service = self._sources.service(request.match_info["name"].lower())
        if service is None:
            known = [each.name for each in self._sources.services()]
            return problem(404, "no such service", services=known)
        return _json(service_document(service))

    async def force_breaker(self, request: web.Request) -> web.Response:
        """Of a service, whose routes with circuits of their own are not concerned, or of "service:route"."""
        key, operation = request.match_info["key"].lower(), request.match_info["operation"]
        command = self._operations.force_breaker(key, _FORCES[operation])
        if command is None:
            return problem(404, "no such service or route", commands=[each.key for each in self._sources.commands()])
        if operation != "auto" and not command.breaker.enabled:
            return problem(409, "this breaker is not enabled, so it cannot be forced")
        _log.warning("breaker operated", service=key, operation=operation, caller=request.remote)
        return _json(breaker_document(command))

    def _metrics_as(self, form: Form) -> web.Response:
        if form is Form.JSON:
            return _json(metrics_document(self._sources, self._metrics, time.time()))
        write = openmetrics_text if form is Form.OPENMETRICS else prometheus_text
        return _body(write(families(self._sources, self._metrics)).encode(), form.content_type)

    def _refusal(self, request: web.Request) -> access.Refusal | None:
        authorization = request.headers.get("Authorization", "")
        return access.refusal(request.remote or "", request.headers.get("Host", ""), authorization, self._token)

    @web.middleware
    async def _guard(self, request: web.Request, handler: "_Handler") -> web.StreamResponse:
        """Before anything else is said, also about paths that do not exist."""
        refusal = None if request.path in access.OPEN_PATHS else self._refusal(request)
        if refusal is None and request.method not in ("GET", "HEAD"):
            sent = (request.headers.get(name, "") for name in ("Host", "Origin", "Sec-Fetch-Site"))
            refusal = access.change_refusal(*sent)
        if refusal is None:
            return await handler(request)
        challenge = {"WWW-Authenticate": 'Bearer realm="prana admin"'} if refusal.status == 401 else None
        return problem(refusal.status, refusal.detail, challenge)

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: "_Handler") -> web.StreamResponse:
        """The router's errors in our form; any other exception is the connection's to answer."""
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as error:
            if _NOT_YET.fullmatch(request.path):
                return _not_found(request)
            allowed = ", ".join(sorted(error.allowed_methods))
            detail = "this is changed by POST" if "POST" in error.allowed_methods else "this page can only be read"
            return problem(405, detail, {"Allow": allowed})
        except web.HTTPNotFound:
            return _not_found(request)


_OTHER_PATHS = (
    "/services",
    "/services/{name}",
    "/services/{name}/breaker/{force-open,force-closed,auto}",
    "/hystrix.stream",
    "/hystrix/config.stream",
    "/hystrix/utilization.stream",
)
_FORCES: Mapping[str, Force] = {"force-open": "open", "force-closed": "closed", "auto": "none"}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _not_found(request: web.Request) -> web.Response:
    detail = "not available yet" if _NOT_YET.fullmatch(request.path) else "no such page"
    return problem(404, detail, pages=[*sorted(access.OPEN_PATHS), *_OTHER_PATHS])


def _json(document: object, status: int = 200) -> web.Response:
    return _body(msgspec.json.encode(document), Form.JSON.content_type, status)


def _text(text: str, status: int = 200) -> web.Response:
    return _body(text.encode(), "text/plain; charset=utf-8", status)


def _body(body: bytes, content_type: str, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, headers={**SAFETY_HEADERS, "Content-Type": content_type})

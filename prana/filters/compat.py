"""The endpoints of Netflix Prana and Spring Cloud Netflix Sidecar on the proxy's own port."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from urllib.parse import unquote_to_bytes

import msgspec

from admin.metrics import ServiceMetrics
from admin.views import AppView
from prana.compat import (
    HEALTHY,
    SHADOWING,
    UNHEALTHY,
    Parameters,
    healthy,
    host_names,
    parameters,
    properties,
    proxied,
    required,
    service_instance,
    single,
    status,
    text,
)
from prana.errors import BadRequest
from prana.filters.rescue import proxy_status
from prana.filters.route import Destination, Endpoint
from prana.request import Request, Response
from prana.wire.fields import Field
from prana.wire.headers import phrase
from registry.instance import Instance

_Answer = Callable[[Parameters], Response]

_JSON = "application/json"
_ONE_SERVICE = b"/hosts/"
_OWN = Field(b"Proxy-Status", b"prana")


class Compat:
    """Answers by exact path, a slash at its end allowed; what is below belongs to a service of that name."""

    def __init__(
        self,
        metrics: ServiceMetrics,
        *,
        apps: Callable[[], Sequence[AppView]],
        draining: Callable[[], bool],
        up_instances: Callable[[str], Sequence[Instance]],
        property_of: Callable[[str], str | None],
    ) -> None:
        """`metrics` is the series of these answers, for they are no service's. `up_instances` takes a lower-case
        name, gives none for one that nobody has, and may raise RegistryNotRead."""
        self._metrics = metrics
        self._apps = apps
        self._draining = draining
        self._up_instances = up_instances
        self._property_of = property_of
        self._answers: Mapping[bytes, _Answer] = {
            b"/ping": self._ping,
            b"/healthcheck": self._healthcheck,
            b"/status": self._status,
            b"/dynamicproperties": self._properties,
            b"/eureka/hosts": self._host_names,
            b"/hosts": self._instances,
        }

    def endpoints(self) -> Mapping[str, Endpoint]:
        """This, by the first segment of every path that it may serve."""
        return dict.fromkeys(SHADOWING, self)

    def __call__(self, request: Request) -> Response | Destination | None:
        path, _, query = request.target.partition(b"?")
        path = path.removesuffix(b"/")
        if path == b"/proxy":
            return proxied(parameters(query))
        answer = self._answer_for(path)
        if answer is None:
            return None
        request.metrics = self._metrics
        self._metrics.request_started()
        if request.method not in (b"GET", b"HEAD"):
            error = BadRequest(f"{path.decode()} is read with GET", status=405)
            return _refused(error, Field(b"Allow", b"GET, HEAD"))
        try:
            return answer(parameters(query))
        except BadRequest as error:
            return _refused(error)

    def _answer_for(self, path: bytes) -> _Answer | None:
        service = path.removeprefix(_ONE_SERVICE)
        if service and service != path and b"/" not in service:
            return partial(self._instances_of, service)
        return self._answers.get(path)

    def _ping(self, given: Parameters) -> Response:
        return _response(200, "text/plain", b"pong", _OWN)

    def _healthcheck(self, given: Parameters) -> Response:
        if healthy(self._apps()):
            return _response(200, "application/xml", HEALTHY, _OWN)
        return _problem(503, UNHEALTHY, _OWN)

    def _status(self, given: Parameters) -> Response:
        return _json(status(self._apps(), draining=self._draining()))

    def _properties(self, given: Parameters) -> Response:
        return _json(properties(given.get("id", ()), self._property_of))

    def _host_names(self, given: Parameters) -> Response:
        instances = self._up_instances(required(given, "appName").lower())
        return _json(host_names(instances, text(single(given, "vip"))))

    def _instances(self, given: Parameters) -> Response:
        return self._listed(required(given, "appName"))

    def _instances_of(self, service: bytes, given: Parameters) -> Response:
        return self._listed(text(unquote_to_bytes(service)))

    def _listed(self, service: str) -> Response:
        return _json([service_instance(each) for each in self._up_instances(service.lower())])


def _response(code: int, media_type: str, body: bytes, *headers: Field) -> Response:
    first = [
        Field(b"Content-Type", media_type.encode()),
        Field(b"Cache-Control", b"must-revalidate,no-cache,no-store"),
    ]
    return Response(code, phrase(code), [*first, *headers], body)


def _json(document: object) -> Response:
    return _response(200, _JSON, msgspec.json.encode(document), _OWN)


def _problem(code: int, message: str, *headers: Field) -> Response:
    """Prana's own form of an error."""
    body = {"reason": phrase(code).decode(), "message": message}
    return _response(code, _JSON, msgspec.json.encode(body), *headers)


def _refused(error: BadRequest, *headers: Field) -> Response:
    response = _problem(error.status, error.detail, proxy_status(error), *headers)
    response.error = error
    return response

"""Raw first segment of the path to the service's own pipeline, or that of one of its routes."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from prana.config.settings import CommandPolicy
from prana.errors import BadRequest, LoopDetected, ServiceNotFound
from prana.filters.options import own_options
from prana.request import Request, Response
from prana.service import Service
from prana.wire.limits import MAX_HOPS
from prana.wire.upgrade import Upgrade

_FIRST_SEGMENT: Final = re.compile(rb"/([A-Za-z0-9._-]{1,128})((?:[/?].*)?)\Z", re.DOTALL)
_NO_NAMES: Final = (b".", b"..")

Destination = tuple[bytes, bytes]
"""A service's name as the caller spelt it, and what its instance is to be asked for."""

Endpoint = Callable[[Request], Response | Destination | None]
"""What Prana does with a path of its own: answers, addresses a service, or None when the path is not its own."""


class Directory(Protocol):
    """Who knows the services: `made` gives those called before, `find` any. It waits for the first registry read when
    it must, as long as a call of this method and path may take and `asked_timeout_s` at most unless that is 0, and
    returns None for a name that nobody has; raises RegistryNotRead."""

    def made(self, name: str) -> Service | None: ...
    def find(self, name: str, method: bytes, path: bytes, asked_timeout_s: float) -> Awaitable[Service | None]: ...


class Route:
    """The end of the common pipeline and the beginning of the service's."""

    def __init__(
        self, directory: Directory, default_service: str, endpoints: Mapping[str, Endpoint] | None = None
    ) -> None:
        """`endpoints` are Prana's own, by the lower-case first segment of their paths."""
        self._directory = directory
        self._default_service = default_service  # lower case; "": none
        self._endpoints = endpoints or {}

    async def __call__(self, request: Request) -> Response:
        if request.malformed is not None:
            raise request.malformed
        if request.looped or request.via_count > MAX_HOPS:
            raise LoopDetected("this request came from this sidecar: an instance is registered with its address")
        if request.max_forwards == 0:
            return own_options()  # RFC 9110 section 7.6.2: we are the final recipient
        name, path = split_target(request.target)
        if request.named_service is not None or name in self._endpoints:
            own = self._addressed(request, name)
            if isinstance(own, Response):
                return own
            if own is not None:
                return await self._forward(request, *own)
        service = self._directory.made(name) or (await self._find(request, name, path) if name else None)
        if service is None and self._default_service:
            path = request.target
            service = await self._find(request, self._default_service, path)
        if service is None and request.target == b"*":
            return own_options()
        if service is None:
            request.service = name
            raise ServiceNotFound(_not_found_detail(name))
        return await self._enter(request, service, path)

    async def _forward(self, request: Request, spelt: bytes, path: bytes) -> Response:
        """To a service that was addressed outright, so that no default stands in for it."""
        name = service_name(spelt)
        service = await self._find(request, name, path)
        if service is None:
            request.service = name
            raise ServiceNotFound(_not_found_detail(name))
        return await self._enter(request, service, path)

    def _find(self, request: Request, name: str, path: bytes) -> Awaitable[Service | None]:
        return self._directory.find(name, request.method, path, request.asked_timeout_s)

    def _enter(self, request: Request, service: Service, path: bytes) -> Awaitable[Response]:
        if climbs(path):
            raise BadRequest("the path climbs above the service with ..")
        command = service.command_of(request.method, path)
        request.service, request.path = service.name, path
        request.idle_timeout_s = command.policy.idle_timeout
        if request.upgrade is not None:
            _allow(request, request.upgrade, command.policy)
        request.metrics, request.command = service.metrics, command.metrics
        service.metrics.request_started()
        return command.handler(request)

    def _addressed(self, request: Request, name: str) -> Response | Destination | None:
        """X-Prana-Service wins over all that a path may mean, so that every service has a way to be reached."""
        if request.named_service is not None:
            return request.named_service, request.target
        return self._endpoints[name](request)


def service_name(spelt: bytes) -> str:
    """The lower-case name of a service that is given as a whole. Raises BadRequest."""
    name, _ = split_target(b"/" + spelt)
    if len(name) != len(spelt) or not name:
        raise BadRequest("a service is named once, by 1 to 128 letters, digits, dots, dashes or underscores")
    return name


def _allow(request: Request, upgrade: Upgrade, policy: CommandPolicy) -> None:
    """What was not opted in goes on as an ordinary request."""
    if policy.websocket:
        upgrade.idle_timeout_s = policy.tunnel_idle_timeout
    else:
        request.upgrade = None


def split_target(target: bytes) -> tuple[str, bytes]:
    """The lower-case service name and what its instance is asked for; "" and all if the first segment is no name."""
    match = _FIRST_SEGMENT.match(target)
    if match is None:
        return "", target
    name, rest = match.groups()
    if name in _NO_NAMES:
        return "", target
    return name.decode().lower(), rest if rest[:1] == b"/" else b"/" + rest


def climbs(path: bytes) -> bool:
    """True when dot segments, also percent-encoded, lead above the root the caller was given."""
    if b".." not in path and b"%2e" not in path and b"%2E" not in path:
        return False
    depth = 0
    for segment in path.partition(b"?")[0].lower().replace(b"%2e", b".").split(b"/")[1:]:
        depth += -1 if segment == b".." else 0 if segment in (b"", b".") else 1
        if depth < 0:
            return True
    return False


def _not_found_detail(name: str) -> str:
    if not name:
        return "the first path segment names the service: 1 to 128 letters, digits, dots, dashes or underscores"
    return f"neither the registry nor the configuration has a service {name!r}"

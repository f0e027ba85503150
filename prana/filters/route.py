"""Raw first segment of the path to the service's own pipeline."""

from typing import Protocol

from prana.config.settings import ServicePolicy
from prana.errors import BadRequest, LoopDetected, ServiceNotFound
from prana.filters.options import own_options
from prana.request import Handler, Request, Response
from prana.service import Service
from prana.wire.limits import MAX_HOPS
from prana.wire.upgrade import Upgrade

_NAME_CHARACTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_MAX_NAME = 128


class Directory(Protocol):
    """Who knows the services. `find` waits for the first registry read when it must, and returns None for a
    name that nobody has; raises RegistryNotRead."""

    async def find(self, name: str) -> Service | None: ...


class Route:
    """The end of the common pipeline and the beginning of the service's."""

    def __init__(self, directory: Directory, default_service: str) -> None:
        self._directory = directory
        self._default_service = default_service  # lower case; "": none

    async def __call__(self, request: Request) -> Response:
        if request.malformed is not None:
            raise request.malformed
        if request.looped or request.via_count > MAX_HOPS:
            raise LoopDetected("this request came from this sidecar: an instance is registered with its address")
        if request.max_forwards == 0:
            return own_options()  # RFC 9110 section 7.6.2: we are the final recipient
        name, path = split_target(request.target)
        service = await self._directory.find(name) if name else None
        if service is None and self._default_service:
            path = request.target
            service = await self._directory.find(self._default_service)
        if service is None and request.target == b"*":
            return own_options()
        if service is None:
            request.service = name
            raise ServiceNotFound(_not_found_detail(name))
        if climbs(path):
            raise BadRequest("the path climbs above the service with ..")
        request.service, request.path = service.name, path
        request.idle_timeout_s = service.policy.idle_timeout
        if request.upgrade is not None:
            _allow(request, request.upgrade, service.policy)
        request.metrics = service.metrics
        service.metrics.request_started()
        handler: Handler = service.handler
        return await handler(request)


def _allow(request: Request, upgrade: Upgrade, policy: ServicePolicy) -> None:
    """What was not opted in goes on as an ordinary request."""
    if policy.websocket:
        upgrade.idle_timeout_s = policy.tunnel_idle_timeout
    else:
        request.upgrade = None


def split_target(target: bytes) -> tuple[str, bytes]:
    """The lower-case service name and what its instance is asked for; "" and all if the first segment is no name."""
    end = len(target)
    for separator in (b"/", b"?"):
        at = target.find(separator, 1, end)
        if at >= 0:
            end = at
    segment, rest = target[1:end], target[end:]
    if not segment or len(segment) > _MAX_NAME or not _NAME_CHARACTERS.issuperset(segment) or segment in (b".", b".."):
        return "", target
    return segment.decode("ascii").lower(), rest if rest[:1] == b"/" else b"/" + rest


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

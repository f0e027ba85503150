"""The five writes of the Eureka protocol, through py-eureka-client, and what is read before the first of them.

Only the stateless layer of that library is used, its beans and the coroutines of `eureka_basic`. Its
EurekaClient is not: that one registers again after stop and reports UP whatever the app's true status is.
"""

from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote

from py_eureka_client import eureka_basic, http_client

from registry.codec import Stored, decode_stored
from registry.instance import Status
from registry.registration import Registration
from registry.transport import EurekaTransport

# HttpRequest refuses host names with "_" and IPv6 literals such as [::1], and knows one server only. So it
# gets a host that stands for "whichever server answers"; our client keeps the path and leaves the rest to the
# transport.
_ANY_SERVER = "http://eureka/"

_MY_OWN_DATA_CENTER = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"

# The library has one HTTP client per process, but one process may hold several sidecars (the demo and tests
# do). A call runs in the task that makes it, so a context variable tells the shared client whose call it is,
# without a table of writers that somebody would have to clean up.
_caller: ContextVar[EurekaTransport] = ContextVar("eureka transport of the running write")


class _NotFound(Exception):
    """The server does not know the instance."""


class _RoutingClient(http_client.HttpClient):  # type: ignore[misc] # the library ships no types
    """Sends each call through the transport of the EurekaWrites that makes it."""

    async def urlopen(self, request: Any = None, data: bytes | None = None, timeout: float | None = None) -> Any:
        transport = _caller.get(None)
        if transport is None:
            # Somebody else in this process uses the library for itself: not ours to change.
            return await super().urlopen(request, data, timeout)
        path = request.url.removeprefix(_ANY_SERVER)
        # A 404 to a registration comes from something that is no Eureka server, so it is not an answer.
        accept = () if request.method == "POST" else (404,)
        reply = await transport.request(request.method, path, content=data, accept=accept)
        if reply.status == 404:
            raise _NotFound
        return http_client.HttpResponse()


class EurekaWrites:
    """Each method raises EurekaUnavailable when no server took the write.

    Those that return bool return False when the server does not know the instance (404). `dirty_ms` is the
    lastDirtyTimestamp, epoch milliseconds of the last change on our side: a server ignores a registration
    that is older than the one it has.
    """

    def __init__(self, transport: EurekaTransport) -> None:
        self._transport = transport
        # The slot is process-wide. The client has no state, so it does not matter whose instance is in it.
        http_client.set_http_client(_RoutingClient())

    async def stored(self, registration: Registration) -> Stored | None:
        """What the server has under our id, from an earlier life; None for nothing. Never from a server's cache.

        Raises GarbledRegistry for an answer that cannot be read. Not through the library: that reads XML.
        """
        path = f"apps/{quote(registration.app, safe='')}/{quote(registration.instance_id, safe='')}"
        reply = await self._transport.request("GET", path, accept=(404,))
        return None if reply.status == 404 else decode_stored(reply.body)

    async def register(self, registration: Registration, status: Status, dirty_ms: int) -> None:
        await self._call(eureka_basic.register(_ANY_SERVER, _bean(registration, status, dirty_ms)))

    async def heartbeat(self, registration: Registration, status: Status, dirty_ms: int) -> bool:
        return await self._call(
            eureka_basic.send_heartbeat(
                _ANY_SERVER, registration.app, registration.instance_id, dirty_ms, status=status.value
            )
        )

    async def cancel(self, registration: Registration) -> bool:
        return await self._call(eureka_basic.cancel(_ANY_SERVER, registration.app, registration.instance_id))

    async def override_status(self, registration: Registration, status: Status, dirty_ms: int) -> bool:
        """Show `status` to everybody until the override is removed, whatever we report ourselves."""
        return await self._call(
            eureka_basic.status_update(
                _ANY_SERVER, registration.app, registration.instance_id, dirty_ms, status=status.value
            )
        )

    async def remove_override(self, registration: Registration, dirty_ms: int) -> bool:
        """The server then shows UNKNOWN and answers the next heartbeat with 404, until we register again."""
        return await self._call(
            eureka_basic.delete_status_override(_ANY_SERVER, registration.app, registration.instance_id, dirty_ms)
        )

    async def _call(self, write: Coroutine[Any, Any, None]) -> bool:
        token = _caller.set(self._transport)
        try:
            await write
        except _NotFound:
            return False
        finally:
            _caller.reset(token)
        return True


def _bean(registration: Registration, status: Status, dirty_ms: int) -> Any:
    # Every part is given: the library's defaults are single objects shared by all instances of the process.
    # None for what we do not have: it travels as null, which every server takes as absent, unlike "".
    return eureka_basic.Instance(
        instanceId=registration.instance_id,
        app=registration.app.upper(),
        hostName=registration.host,
        ipAddr=registration.ip,
        port=eureka_basic.PortWrapper(port=registration.port, enabled=True),
        securePort=eureka_basic.PortWrapper(port=registration.secure_port, enabled=registration.secure_port > 0),
        vipAddress=registration.vip,
        secureVipAddress=registration.secure_vip or None,
        homePageUrl=registration.home_page_url or None,
        statusPageUrl=registration.status_page_url or None,
        healthCheckUrl=registration.health_check_url or None,
        secureHealthCheckUrl=None,
        dataCenterInfo=eureka_basic.DataCenterInfo(name="MyOwn", className=_MY_OWN_DATA_CENTER, metadata={}),
        leaseInfo=eureka_basic.LeaseInfo(
            # Eureka has whole seconds only, and 0 would be a lease that is over at once.
            renewalIntervalInSecs=max(1, round(registration.renewal_interval_s)),
            durationInSecs=max(1, round(registration.lease_duration_s)),
        ),
        metadata=dict(registration.metadata),
        status=status.value,
        overriddenstatus=Status.UNKNOWN.value,  # none
        lastUpdatedTimestamp=dirty_ms,
        lastDirtyTimestamp=dirty_ms,
    )

"""What `GET status` says of the server itself (`StatusInfo` of Netflix eureka)."""

import os
from collections.abc import Callable

from registry.instance import Status
from registry.server.document import Document, instance_fields
from registry.server.lease import Lease
from registry.server.registration import DataCenter, Port, Registration

# As XStream, which names elements by class, has it.
XML_ROOT = "com.netflix.eureka.util.StatusInfo"


class About:
    """`clock_ms` gives epoch milliseconds."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._started_ms = clock_ms()

    def document(self, host: str, port: int) -> Document:
        """As seen by who reached the server at `host` and `port`."""
        return {
            "generalStats": {
                "environment": "development",
                "num-of-cpus": str(os.cpu_count()),
                "server-uptime": self._uptime(),
            },
            # There are no peers.
            "applicationStats": dict.fromkeys(
                ("registered-replicas", "available-replicas", "unavailable-replicas"), ""
            ),
            "instanceInfo": instance_fields(_own_lease(host, port, self._started_ms)),
        }

    def _uptime(self) -> str:
        minutes = (self._clock_ms() - self._started_ms) // 60_000
        days, rest = divmod(minutes, 24 * 60)
        prefix = {0: "", 1: "1 day "}.get(days, f"{days} days ")
        return f"{prefix}{rest // 60:02}:{rest % 60:02}"


def _own_lease(host: str, port: int, now_ms: int) -> Lease:
    """Not in the registry: a server that stands alone does not register with itself."""
    registration = Registration(
        app="EUREKA",
        id=f"{host}:{port}",
        instance_id=f"{host}:{port}",
        host=host,
        ip=host,
        sid=None,
        status=Status.UP,
        overridden=Status.UNKNOWN,
        port=Port(port, enabled=True),
        secure_port=Port(443, enabled=False),
        country_id=1,
        data_center=DataCenter("MyOwn"),
        duration_s=90,
        renewal_interval_s=30,
        metadata={},
        carried={"vipAddress": "eureka"},
        last_dirty_ms=now_ms,
    )
    return Lease(
        registration=registration,
        status=Status.UP,
        overridden=Status.UNKNOWN,
        last_dirty_ms=now_ms,
        duration_ms=90_000,
        registered_ms=0,
        renewed_ms=0,
        last_updated_ms=now_ms,
    )

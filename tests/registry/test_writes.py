import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from random import Random

import pytest
from aiohttp import web
from py_eureka_client import eureka_basic

from registry.codec import Stored
from registry.instance import Status
from registry.registration import Registration
from registry.renewal import Registrar
from registry.servers import Servers
from registry.transport import EurekaTransport, EurekaUnavailable
from registry.writes import EurekaWrites

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]
Connect = Callable[..., EurekaWrites]

ORDERS = Registration(
    app="orders",
    instance_id="orders-1:orders:5000",
    host="orders_1.internal",
    ip="10.0.0.7",
    port=5000,
    vip="orders",
    metadata={"zone": "a", "management.port": "8077"},
    renewal_interval_s=5,
    lease_duration_s=15,
    home_page_url="http://10.0.0.7:5000/",
    status_page_url="http://10.0.0.7:8077/info",
    health_check_url="http://10.0.0.7:8077/health",
)


class Server:
    """Answers every write with one status, in the order of arrival, once `gate` is open; knows what is `stored`."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.stored: bytes | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived: list[str] = []
        self.done: list[str] = []
        self.bodies: list[bytes] = []
        self.arrival = asyncio.Event()

    async def __call__(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.Response(body=self.stored, status=404 if self.stored is None else 200)
        line = f"{request.method} {request.raw_path}"
        self.arrived.append(line)
        self.arrival.set()
        self.bodies.append(await request.read())
        if request.method == "POST":
            await self.gate.wait()
        self.done.append(line)
        return web.Response(status=self.status)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    opened: list[EurekaTransport] = []

    def make(*urls: str) -> EurekaWrites:
        opened.append(EurekaTransport(Servers.of(urls, lambda: 0.0, Random(1))))
        return EurekaWrites(opened[-1])

    yield make
    for transport in opened:
        await transport.close()


async def test_a_registration_carries_every_field(serve: Serve, connect: Connect) -> None:
    server = Server(204)
    await connect(await serve(server)).register(ORDERS, Status.STARTING, 1700000000123)
    assert server.done == ["POST /eureka/apps/ORDERS"]
    assert json.loads(server.bodies[0]) == {
        "instance": {
            "instanceId": "orders-1:orders:5000",
            "hostName": "orders_1.internal",
            "app": "ORDERS",
            "ipAddr": "10.0.0.7",
            "status": "STARTING",
            "overriddenstatus": "UNKNOWN",
            "port": {"$": 5000, "@enabled": "true"},
            "securePort": {"$": 0, "@enabled": "false"},
            "countryId": 1,
            "dataCenterInfo": {
                "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
                "name": "MyOwn",
            },
            "leaseInfo": {
                "renewalIntervalInSecs": 5,
                "durationInSecs": 15,
                "registrationTimestamp": 0,
                "lastRenewalTimestamp": 0,
                "evictionTimestamp": 0,
                "serviceUpTimestamp": 0,
            },
            "metadata": {"zone": "a", "management.port": "8077"},
            "homePageUrl": "http://10.0.0.7:5000/",
            "statusPageUrl": "http://10.0.0.7:8077/info",
            "healthCheckUrl": "http://10.0.0.7:8077/health",
            "secureHealthCheckUrl": None,
            "vipAddress": "orders",
            "secureVipAddress": None,
            "lastUpdatedTimestamp": "1700000000123",
            "lastDirtyTimestamp": "1700000000123",
            "isCoordinatingDiscoveryServer": "false",
        }
    }


async def test_lease_times_are_registered_in_whole_seconds_of_at_least_one(serve: Serve, connect: Connect) -> None:
    server = Server(204)
    brisk = replace(ORDERS, renewal_interval_s=0.4, lease_duration_s=2.6)
    await connect(await serve(server)).register(brisk, Status.UP, 1)
    lease = json.loads(server.bodies[0])["instance"]["leaseInfo"]
    assert (lease["renewalIntervalInSecs"], lease["durationInSecs"]) == (1, 3)


async def test_a_secure_port_is_registered_as_enabled(serve: Serve, connect: Connect) -> None:
    server = Server(204)
    secure = Registration(app="a", instance_id="a", host="h", ip="i", port=80, secure_port=443, vip="a", secure_vip="a")
    await connect(await serve(server)).register(secure, Status.UP, 1)
    instance = json.loads(server.bodies[0])["instance"]
    assert instance["securePort"] == {"$": 443, "@enabled": "true"}
    assert instance["secureVipAddress"] == "a"
    assert instance["metadata"] == {}


async def test_the_other_writes_name_the_instance_its_status_and_its_last_change(
    serve: Serve, connect: Connect
) -> None:
    server = Server()
    writes = connect(await serve(server))
    assert await writes.heartbeat(ORDERS, Status.DOWN, 7)
    assert await writes.override_status(ORDERS, Status.OUT_OF_SERVICE, 7)
    assert await writes.remove_override(ORDERS, 7)
    assert await writes.cancel(ORDERS)
    instance = "/eureka/apps/orders/orders-1%3Aorders%3A5000"
    assert server.done == [
        f"PUT {instance}?status=DOWN&lastDirtyTimestamp=7",
        f"PUT {instance}/status?value=OUT_OF_SERVICE&lastDirtyTimestamp=7",
        f"DELETE {instance}/status?lastDirtyTimestamp=7",
        f"DELETE {instance}",
    ]


async def test_an_instance_unknown_to_the_server_is_a_value_and_not_an_error(serve: Serve, connect: Connect) -> None:
    writes = connect(await serve(Server(404)))
    assert not await writes.heartbeat(ORDERS, Status.UP, 7)
    assert not await writes.override_status(ORDERS, Status.OUT_OF_SERVICE, 7)
    assert not await writes.remove_override(ORDERS, 7)
    assert not await writes.cancel(ORDERS)


async def test_a_registration_answered_with_404_has_failed(serve: Serve, connect: Connect) -> None:
    with pytest.raises(EurekaUnavailable, match="HTTP 404"):
        await connect(await serve(Server(404))).register(ORDERS, Status.UP, 1)


async def test_any_other_failure_is_raised(serve: Serve, connect: Connect) -> None:
    writes = connect(await serve(Server(500)))
    with pytest.raises(EurekaUnavailable, match="HTTP 500"):
        await writes.heartbeat(ORDERS, Status.UP, 7)


async def test_several_writers_in_one_process_each_reach_their_own_server(serve: Serve, connect: Connect) -> None:
    first, second = Server(), Server(404)
    one, two = connect(await serve(first)), connect(await serve(second))
    known = await asyncio.gather(*(writer.heartbeat(ORDERS, Status.UP, n) for n in range(5) for writer in (one, two)))
    assert known == [True, False] * 5
    assert (len(first.done), len(second.done)) == (5, 5)


async def test_others_in_the_process_may_use_the_library_for_themselves(serve: Serve, connect: Connect) -> None:
    ours, theirs = Server(), Server()
    writes = connect(await serve(ours))
    await writes.cancel(ORDERS)
    await eureka_basic.cancel(await serve(theirs), "A", "a")
    assert (len(ours.done), theirs.done) == (1, ["DELETE /eureka/apps/A/a"])


def registrar(writes: EurekaWrites, settle_s: float) -> Registrar:
    return Registrar(ORDERS, writes, clock=lambda: 0.0, epoch_ms=lambda: 1, rng=Random(1), settle_s=settle_s)


async def test_what_an_earlier_life_left_is_read_as_json(serve: Serve, connect: Connect) -> None:
    server = Server()
    writes = connect(await serve(server))
    assert await writes.stored(ORDERS) is None
    instance = {"lastDirtyTimestamp": "1700000000123", "overriddenStatus": "OUT_OF_SERVICE", "metadata": {"a": "b"}}
    server.stored = json.dumps({"instance": instance}).encode()
    assert await writes.stored(ORDERS) == Stored(1700000000123, Status.OUT_OF_SERVICE, {"a": "b"})


async def test_a_registration_in_flight_is_finished_before_the_goodbye(serve: Serve, connect: Connect) -> None:
    server = Server(204)
    server.gate.clear()
    registration = registrar(connect(await serve(server)), settle_s=30)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(registration.run())
        await server.arrival.wait()
        closing = tasks.create_task(registration.close())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not closing.done()
        server.gate.set()
    assert [line.split()[0] for line in server.done] == ["POST", "DELETE"]
    assert registration.registrations_total == 1


async def test_a_hanging_registration_is_abandoned_and_the_goodbye_is_the_last_word(
    serve: Serve, connect: Connect
) -> None:
    server = Server(204)
    server.gate.clear()
    registration = registrar(connect(await serve(server)), settle_s=0.01)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(registration.run())
        await server.arrival.wait()
        await asyncio.wait_for(registration.close(), 3)  # well below the transport's own timeout
    assert [line.split()[0] for line in server.arrived] == ["POST", "DELETE"]
    assert [line.split()[0] for line in server.done] == ["DELETE"]
    assert not registration.registered

"""py-eureka-client as it comes, against the embedded server: its functions, and its whole client in a process."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from py_eureka_client import eureka_basic, http_client

from registry.server import RegistryServer, serve

# It is its own caller: the port it registers is the registry's. The thread of its heartbeats cannot be stopped, and
# would register again what `stop` has cancelled.
CLIENT = """
import asyncio, os, sys
from py_eureka_client.eureka_client import EurekaClient

async def main(url, port):
    client = EurekaClient(
        eureka_server=url, app_name="orders", instance_id="orders:1", instance_host="127.0.0.1",
        instance_ip="127.0.0.1", instance_port=int(port), renewal_interval_in_secs=1, duration_in_secs=60,
        metadata={"zone": "a", "my_key": "x&y"},
    )
    await client.start()
    print("started", flush=True)
    sys.stdin.readline()
    print(len(await client.do_service("orders", "/eureka/apps/orders")) > 100, flush=True)
    await client.status_update("OUT_OF_SERVICE")
    print("out of service", flush=True)
    sys.stdin.readline()
    await client.stop()
    print("stopped", flush=True)
    os._exit(0)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def server() -> AsyncIterator[RegistryServer]:
    server = await serve("127.0.0.1", 0)
    yield server
    await server.close()


async def instance(server: RegistryServer) -> dict[str, Any] | None:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
        session.get(f"{server.url}apps/ORDERS/orders:1", headers={"Accept": "application/json"}) as answer,
    ):
        if answer.status == 404:
            return None
        found: dict[str, Any] = (await answer.json())["instance"]
        return found


async def test_its_client_registers_renews_calls_itself_goes_out_of_service_and_leaves(server: RegistryServer) -> None:
    arguments = (sys.executable, "-c", CLIENT, server.url, str(server.port))
    client = await asyncio.create_subprocess_exec(*arguments, stdin=PIPE, stdout=PIPE)
    assert client.stdin is not None
    assert client.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await client.stdout.readline() == b"started\n"
            registered = await instance(server)
            assert registered is not None
            assert (registered["status"], registered["port"]["$"]) == ("UP", server.port)
            assert registered["metadata"] == {"zone": "a", "my_key": "x&y", "management.port": str(server.port)}
            while True:
                renewed = await instance(server)
                assert renewed is not None
                if renewed["leaseInfo"]["lastRenewalTimestamp"] > registered["leaseInfo"]["lastRenewalTimestamp"]:
                    break
                await asyncio.sleep(0.05)
            client.stdin.write(b"\n")
            assert await client.stdout.readline() == b"True\n"
            assert await client.stdout.readline() == b"out of service\n"
            overridden = await instance(server)
            assert overridden is not None
            assert overridden["overriddenStatus"] == "OUT_OF_SERVICE"
            client.stdin.write(b"\n")
            assert await client.stdout.readline() == b"stopped\n"
            assert await client.wait() == 0
        assert await instance(server) is None
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()


async def test_its_functions_register_renew_override_read_and_cancel(
    server: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "http_client", http_client.HttpClient())  # its own one, over httpx
    dirty_ms = 1000
    mine = eureka_basic.Instance(
        instanceId="h1:orders:80",
        hostName="h1",
        app="ORDERS",
        ipAddr="10.0.0.1",
        status="UP",
        port=eureka_basic.PortWrapper(8080, True),
        securePort=eureka_basic.PortWrapper(8443, False),
        leaseInfo=eureka_basic.LeaseInfo(renewalIntervalInSecs=5, durationInSecs=15),
        dataCenterInfo=eureka_basic.DataCenterInfo(),
        metadata={"zone": "a"},
        vipAddress="orders",
        lastDirtyTimestamp=dirty_ms,
    )
    await eureka_basic.register(server.url, mine)
    await eureka_basic.send_heartbeat(server.url, "ORDERS", mine.instanceId, dirty_ms)
    read = await eureka_basic.get_app_instance(server.url, "ORDERS", mine.instanceId)
    assert (read.status, read.port.port, read.port.enabled, read.metadata) == ("UP", 8080, True, {"zone": "a"})
    assert (read.leaseInfo.durationInSecs, read.lastDirtyTimestamp) == (15, dirty_ms)

    await eureka_basic.status_update(server.url, "ORDERS", mine.instanceId, dirty_ms, "OUT_OF_SERVICE")
    listed = await eureka_basic.get_applications(server.url)
    (instance,) = listed.get_application("ORDERS").instances
    assert (instance.status, instance.overriddenstatus) == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")
    assert listed.apps__hashcode == "OUT_OF_SERVICE_1_"

    await eureka_basic.delete_status_override(server.url, "ORDERS", mine.instanceId, str(dirty_ms))
    with pytest.raises(Exception, match="404"):
        await eureka_basic.send_heartbeat(server.url, "ORDERS", mine.instanceId, dirty_ms)
    await eureka_basic.register(server.url, mine)
    assert (await eureka_basic.get_vip(server.url, "orders")).apps__hashcode == "UP_1_"

    await eureka_basic.cancel(server.url, "ORDERS", mine.instanceId)
    assert (await eureka_basic.get_applications(server.url)).apps__hashcode == ""
    (gone,) = (await eureka_basic.get_delta(server.url)).applications[0].instances
    assert gone.actionType == "DELETED"

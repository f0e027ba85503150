"""The functions of py-eureka-client as they come, against the embedded server."""

from collections.abc import AsyncIterator

import pytest
from py_eureka_client import eureka_basic, http_client

from registry.server import RegistryServer, serve


@pytest.fixture
async def server() -> AsyncIterator[RegistryServer]:
    server = await serve("127.0.0.1", 0)
    yield server
    await server.close()


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

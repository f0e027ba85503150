"""When the guide may be shown."""

import socket
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
from aiohttp import web

from prana.demo.main import all_callable
from prana.demo.sample import HOST
from prana.demo.scene import ROLES, Ports


class AdminPort:
    """Answers /services/{name} as a sidecar does, with the nodes it is given; 404 for services without any."""

    def __init__(self) -> None:
        self.nodes: dict[str, list[str]] = {}
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        ids = self.nodes.get(request.match_info["name"])
        if ids is None:
            return web.json_response({"title": "no such service"}, status=404)
        document: Mapping[str, object] = {"balancer": {"nodes": [{"id": id} for id in ids]}}
        return web.json_response(document)


@pytest.fixture
async def admin() -> AsyncIterator[AdminPort]:
    admin = AdminPort()
    app = web.Application()
    app.router.add_get("/services/{name}", admin.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    admin.port = runner.addresses[0][1]
    yield admin
    await runner.cleanup()


async def test_the_guide_waits_for_every_instance_of_every_service(admin: AdminPort) -> None:
    ports = Ports(registry=0, proxy=0, admin=admin.port, instances=9001)
    async with aiohttp.ClientSession() as session:
        assert not await all_callable(session, ports)
        for role in ROLES:
            admin.nodes.setdefault(role.service, []).append(role.id)
        assert await all_callable(session, ports)
        for role in ROLES:
            admin.nodes[role.service].remove(role.id)
            assert not await all_callable(session, ports), role
            admin.nodes[role.service].append(role.id)


async def test_a_sidecar_that_has_gone_cannot_call_anything() -> None:
    with socket.create_server((HOST, 0)) as unused:
        port = unused.getsockname()[1]
    async with aiohttp.ClientSession() as session:
        assert not await all_callable(session, Ports(registry=0, proxy=0, admin=port, instances=9001))

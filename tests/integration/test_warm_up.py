"""Connections that stand before we are ready, over real sockets."""

import socket

from aiohttp import ClientSession

from prana.config.settings import Eureka

from .conftest import Running, StartSidecar, StartUpstream, get, until
from .test_proxy_tls import secure, server


async def readiness(running: Running) -> dict[str, bool]:
    """The conditions of /readyz by name."""
    async with ClientSession() as session:
        answer = await session.get(f"http://127.0.0.1:{running.sidecar.admin_port}/readyz?verbose")
        lines = (await answer.text()).splitlines()
    return {line[3:].split()[0]: line.startswith("[+]") for line in lines if line.startswith("[")}


def nobody() -> int:
    """A port that refuses connections."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


async def test_each_instance_has_a_connection_before_we_are_ready_and_a_request_takes_it(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    upstreams = [await start_upstream(), await start_upstream()]
    running = await start_sidecar(*(each.port for each in upstreams), proxy={"warm_up": ("orders",)})
    await until(lambda: running.sidecar._warm_up.done, "the warm-up")
    assert (await readiness(running))["warmed-up"]
    assert [each.connections for each in upstreams] == [1, 1]
    assert [(await running.ask(get(b"/orders/a"))).status for _ in range(4)] == [200] * 4
    assert [each.connections for each in upstreams] == [1, 1]


async def test_who_is_not_there_is_out_and_we_are_ready_all_the_same(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    running = await start_sidecar(upstream.port, nobody(), proxy={"warm_up": ("orders",)})
    await until(lambda: running.sidecar._warm_up.done, "the warm-up")
    assert [node.ejected for node in running.service().balancer.nodes] == [False, True]
    assert all((await readiness(running)).values())
    assert [(await running.ask(get(b"/orders/a"))).status for _ in range(4)] == [200] * 4


async def test_a_connection_through_tls_is_warm_too(start_sidecar: StartSidecar, start_upstream: StartUpstream) -> None:
    upstream = await start_upstream(tls=server())
    running = await start_sidecar(more={"orders": secure(upstream.port)}, proxy={"warm_up": ("orders",)})
    await until(lambda: running.sidecar._warm_up.done, "the warm-up")
    assert (await running.ask(get(b"/orders/a"))).status == 200
    assert upstream.connections == 1


async def test_until_the_registry_is_read_we_are_not_warm(start_sidecar: StartSidecar) -> None:
    eureka = Eureka(urls=(f"http://127.0.0.1:{nobody()}/eureka/",), register=False)
    running = await start_sidecar(proxy={"warm_up": ("orders",)}, settings={"eureka": eureka})
    conditions = await readiness(running)
    assert (conditions["warmed-up"], conditions["registry-read"]) == (False, False)

"""Whom a service's requests reach, by the balancer's rule and filters."""

from collections import Counter
from dataclasses import replace

from prana.config.settings import Balancer, Breaker, Eject, Eureka
from tests.integration.conftest import NO_RETRY, Running, StartSidecar, StartUpstream, get
from tests.integration.test_proxy_routes import admin


async def statuses(running: Running, count: int) -> Counter[int]:
    caller = await running.open()
    return Counter([(await caller.ask(get(b"/orders/"))).status for _ in range(count)])


def put_in_zones(running: Running, *zones: str) -> None:
    """As the registry would have it: instances of the configuration have none."""
    balancer = running.service().balancer
    balancer.update([replace(node.instance, zone=zone) for node, zone in zip(balancer.nodes, zones, strict=True)])


async def test_only_those_of_the_subset_are_called(start_sidecar: StartSidecar, start_upstream: StartUpstream) -> None:
    upstreams = [await start_upstream() for _ in range(5)]
    running = await start_sidecar(
        *(upstream.port for upstream in upstreams), balancer=Balancer(rule="RoundRobinRule", subset=2)
    )
    assert await statuses(running, 20) == {200: 20}
    assert sorted(len(upstream.requests) for upstream in upstreams) == [0, 0, 0, 10, 10]
    shown = (await admin(running, b"/services/orders")).json["balancer"]
    assert (shown["filtered_out"], len(shown["nodes"])) == (3, 2)


async def test_an_instance_that_refuses_connections_trips_ribbons_circuit(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    gone, there = await start_upstream(), await start_upstream()
    await gone.stop()
    running = await start_sidecar(
        gone.port,
        there.port,
        balancer=Balancer(rule="AvailabilityFilteringRule"),
        retry=NO_RETRY,
        breaker=Breaker(enabled=False),
        eject=Eject(enabled=False),
    )
    assert await statuses(running, 30) == {502: 3, 200: 27}
    nodes = (await admin(running, b"/services/orders")).json["balancer"]["nodes"]
    assert [(node["circuit_tripped"], node["ejected"]) for node in nodes] == [(True, False), (False, False)]


async def test_the_own_zone_is_preferred_and_left_when_it_is_gone(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    near, far = await start_upstream(), await start_upstream()
    running = await start_sidecar(
        near.port,
        far.port,
        balancer=Balancer(zone_filter="preference"),
        settings={"eureka": Eureka(urls=(), zone="EU-1")},
    )
    put_in_zones(running, "eu-1", "eu-2")
    assert await statuses(running, 10) == {200: 10}
    assert (len(near.requests), len(far.requests)) == (10, 0)
    nodes = (await admin(running, b"/services/orders")).json["balancer"]["nodes"]
    assert [(node["zone"], node["near"]) for node in nodes] == [("eu-1", True), ("eu-2", False)]
    await near.stop()
    assert await statuses(running, 10) == {200: 10}
    assert len(far.requests) == 10


async def test_when_only_the_own_zone_will_do_others_are_no_answer(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    far = await start_upstream()
    running = await start_sidecar(
        far.port,
        balancer=Balancer(zone_filter="exclusivity"),
        settings={"eureka": Eureka(urls=(), zone="eu-1")},
    )
    answer = await running.ask(get(b"/orders/"))
    assert answer.problem == (503, "destination_unavailable")
    assert answer.json["detail"].endswith("no instance of it is in our own zone")
    assert not far.requests

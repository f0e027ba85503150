"""Connections before the first request: to whom, how many at once, and what a failure means."""

import asyncio
from random import Random

from structlog.testing import capture_logs

from loadbalancer.balancer import Balancer
from loadbalancer.ejection import EjectionSettings
from loadbalancer.node import Node
from loadbalancer.rules import rule_named
from prana.errors import ConnectRefused, ConnectTimeout, Overloaded, ProxyError
from prana.service import Service
from prana.services import Services
from prana.warmup import WarmUp
from registry.instance import Instance
from registry.snapshot import EMPTY, Snapshot


class Registry:
    def __init__(self) -> None:
        self.snapshot = EMPTY
        self.first_read = asyncio.Event()

    def read(self, *instances: Instance) -> None:
        self.snapshot = Snapshot.of(instances)
        self.first_read.set()


def instances(name: str, count: int) -> list[Instance]:
    return [Instance(name.upper(), f"{name}-{n}", f"10.0.0.{n}", f"10.0.0.{n}", 8080) for n in range(count)]


def make(name: str, instances: tuple[Instance, ...], static: bool) -> Service:
    rng = Random(1)
    balancer = Balancer(rule_named("p2c-ewma", rng), EjectionSettings(), lambda: 0.0, rng, lambda event: None)
    balancer.update(instances)
    parts = dict.fromkeys(["policy", "budget", "metrics", "commands", "routes", "handler"])
    known = {field: parts.get(field) for field in Service.__dataclass_fields__}
    return Service(**known | {"name": name, "known": True, "balancer": balancer})  # type: ignore[arg-type]


class Wire:
    """Connects at once, unless it is told what to do instead."""

    def __init__(self, failures: dict[str, ProxyError] | None = None) -> None:
        self.failures = failures or {}
        self.connected: list[tuple[str, str]] = []
        self.under_way = 0
        self.most_under_way = 0
        self.let: asyncio.Event | None = None  # wait for this first

    async def connect(self, service: Service, node: Node) -> None:
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        try:
            if self.let is not None:
                await self.let.wait()
            if node.instance.id in self.failures:
                raise self.failures[node.instance.id]
            self.connected.append((service.name, node.instance.id))
        finally:
            self.under_way -= 1


class Bench:
    def __init__(self, *names: str, wire: Wire | None = None, within_s: float = 30.0) -> None:
        self.registry = Registry()
        self.wire = wire or Wire()
        self.services = Services({}, self.registry, make, lambda name, node: None, lambda *call: 1.0)
        self.warm_up = WarmUp(
            names, self.services, self.registry.first_read, self.wire.connect, lambda: 0.0, within_s=within_s
        )

    def nodes(self, name: str) -> list[Node]:
        service = self.services.peek(name)
        assert service is not None
        return list(service.balancer.nodes)


async def test_each_node_of_the_named_services_gets_a_connection_when_the_registry_is_read() -> None:
    bench = Bench("orders", "users")
    running = asyncio.create_task(bench.warm_up.run())
    await asyncio.sleep(0)
    assert (bench.warm_up.done, bench.wire.connected) == (False, [])
    bench.registry.read(*instances("orders", 2), *instances("users", 1), *instances("others", 1))
    await running
    assert bench.warm_up.done
    assert bench.wire.connected == [("orders", "orders-0"), ("orders", "orders-1"), ("users", "users-0")]
    assert [node.pending for node in bench.nodes("orders")] == [0, 0]


async def test_without_names_it_is_done_from_the_start() -> None:
    bench = Bench()
    assert bench.warm_up.done
    await bench.warm_up.run()
    assert bench.services.all_made() == []


async def test_a_name_that_nobody_has_is_warned_of() -> None:
    bench = Bench("ordres", "orders")
    bench.registry.read(*instances("orders", 1))
    with capture_logs() as logs:
        await bench.warm_up.run()
    assert bench.warm_up.done
    warnings = [each for each in logs if each["log_level"] == "warning"]
    assert [(each["service"], each["setting"]) for each in warnings] == [("ordres", "proxy.warm_up")]


async def test_no_more_than_sixteen_connections_are_opened_at_once() -> None:
    bench = Bench("orders")
    bench.wire.let = asyncio.Event()
    bench.registry.read(*instances("orders", 40))
    running = asyncio.create_task(bench.warm_up.run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert bench.wire.under_way == 16
    bench.wire.let.set()
    await running
    assert (len(bench.wire.connected), bench.wire.most_under_way) == (40, 16)


async def test_who_refuses_is_left_out_at_once_and_the_others_are_connected_to() -> None:
    bench = Bench("orders", wire=Wire({"orders-1": ConnectRefused("10.0.0.1:8080: nobody there")}))
    bench.registry.read(*instances("orders", 3))
    with capture_logs() as logs:
        await bench.warm_up.run()
    assert bench.warm_up.done
    assert [node.ejected for node in bench.nodes("orders")] == [False, True, False]
    assert len(bench.wire.connected) == 2
    assert {"service": "orders", "instance": "orders-1", "reason": "10.0.0.1:8080: nobody there"}.items() <= logs[
        0
    ].items()


async def test_other_failures_count_as_failures_and_our_own_do_not() -> None:
    bench = Bench("orders", wire=Wire({"orders-0": ConnectTimeout("late"), "orders-1": Overloaded("no descriptors")}))
    bench.registry.read(*instances("orders", 2))
    await bench.warm_up.run()
    late, ours = bench.nodes("orders")
    assert (late.failures, late.ejected, late.load.cost_s(0.0) >= 5) == (1, False, True)
    assert (ours.failures, ours.pending) == (0, 0)


async def test_instances_that_do_not_answer_hold_us_up_for_a_bounded_time() -> None:
    bench = Bench("orders", within_s=0.01)
    bench.wire.let = asyncio.Event()
    bench.registry.read(*instances("orders", 20))
    with capture_logs() as logs:
        await bench.warm_up.run()
    assert (bench.warm_up.done, bench.wire.under_way) == (True, 0)
    assert logs[0]["not_connected"] == 20

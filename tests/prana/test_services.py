"""Which service a name means, before and after the registry has been read."""

import asyncio
from dataclasses import replace
from random import Random

import pytest

from loadbalancer.balancer import Balancer
from loadbalancer.ejection import EjectionSettings
from loadbalancer.node import Node
from loadbalancer.rules import rule_named
from prana.errors import RegistryNotRead
from prana.service import Service
from prana.services import Services
from registry.instance import Instance, Status
from registry.ports import TlsMode
from registry.snapshot import EMPTY, Snapshot
from registry.static import static_instances

STATIC = {"fixed": static_instances("fixed", ["127.0.0.1:9001"])}


class Registry:
    def __init__(self) -> None:
        self.snapshot = EMPTY
        self.first_read = asyncio.Event()

    def read(self, *instances: Instance) -> Snapshot:
        self.snapshot = Snapshot.of(instances)
        self.first_read.set()
        return self.snapshot


def instance(name: str, number: int = 1, status: Status = Status.UP) -> Instance:
    return Instance(name.upper(), f"{name}-{number}", "10.0.0.1", "10.0.0.1", 8000 + number, status)


class Bench:
    """Services over a registry, with what they made and which nodes they let go."""

    def __init__(
        self,
        registry: Registry | None,
        wait_s: float = 0.01,
        with_fallback: frozenset[str] = frozenset(),
        tls_mode: TlsMode = TlsMode.AUTO,
    ) -> None:
        self.made: list[tuple[str, bool]] = []
        self.gone: list[Node] = []
        self.waited: list[tuple[str, bytes, bytes]] = []
        self.services = Services(
            STATIC, registry, self._make, self._gone, self._wait, lambda _: tls_mode, with_fallback
        )
        self._wait_s = wait_s

    def _gone(self, name: str, node: Node) -> None:
        self.gone.append(node)

    def _wait(self, name: str, method: bytes, path: bytes) -> float:
        self.waited.append((name, method, path))
        return self._wait_s

    def _make(self, name: str, instances: tuple[Instance, ...], static: bool) -> Service:
        self.made.append((name, static))
        rng = Random(1)
        balancer = Balancer(rule_named("p2c-ewma", rng), EjectionSettings(), lambda: 0.0, rng, lambda event: None)
        balancer.update(instances)
        parts = dict.fromkeys(["policy", "budget", "metrics", "own", "routes"])
        return Service(name=name, source="static", known=True, balancer=balancer, **parts)  # type: ignore[arg-type]


def ids(service: Service | None) -> list[str]:
    assert service is not None
    return [node.instance.id for node in service.balancer.nodes]


async def test_a_registered_service_is_made_once_with_its_callable_instances() -> None:
    registry = Registry()
    registry.read(instance("a"), instance("a", 2, Status.DOWN))
    bench = Bench(registry)
    first = await bench.services.find("a")
    assert ids(first) == ["a-1"]
    assert await bench.services.find("a") is first
    assert bench.made == [("a", False)]


async def test_a_name_nobody_has_makes_nothing_and_does_not_wait_once_the_registry_was_read() -> None:
    registry = Registry()
    registry.read()
    bench = Bench(registry)
    assert await bench.services.find("nobody") is None
    assert (bench.made, bench.waited) == ([], [])


async def test_a_static_service_needs_no_registry_and_keeps_its_instances() -> None:
    registry = Registry()
    bench = Bench(registry)
    fixed = await bench.services.find("fixed")
    bench.services.update(registry.read(instance("fixed", 7)))
    assert ids(fixed) == ["127.0.0.1:9001"]
    assert (bench.made, bench.waited) == ([("fixed", True)], [])


async def test_a_call_before_the_first_read_waits_for_it() -> None:
    registry = Registry()
    bench = Bench(registry, wait_s=60)
    finding = asyncio.create_task(bench.services.find("a", b"GET", b"/x"))
    await asyncio.sleep(0)  # lets it begin
    assert bench.waited == [("a", b"GET", b"/x")] and not finding.done()
    registry.read(instance("a"))
    assert ids(await finding) == ["a-1"]


async def test_a_call_before_the_first_read_waits_no_longer_than_its_own_time() -> None:
    bench = Bench(Registry())
    with pytest.raises(RegistryNotRead) as refused:
        await bench.services.find("a")
    assert refused.value.retry_after_s is not None
    assert bench.waited == [("a", b"", b"")]


async def test_without_a_registry_only_static_names_are_known() -> None:
    bench = Bench(None)
    assert await bench.services.find("a") is None
    assert ids(await bench.services.find("fixed")) == ["127.0.0.1:9001"]


@pytest.mark.parametrize("read", [False, True])
async def test_a_service_with_a_fallback_is_found_without_being_registered(read: bool) -> None:
    registry = Registry()
    if read:
        registry.read()
    bench = Bench(registry, with_fallback=frozenset({"a"}))
    assert ids(await bench.services.find("a")) == []


async def test_membership_changes_reach_the_services_made_and_tell_which_nodes_left() -> None:
    registry = Registry()
    registry.read(instance("a"), instance("a", 2))
    bench = Bench(registry)
    service = await bench.services.find("a")
    bench.services.update(registry.read(instance("a", 2), instance("a", 3)))
    assert ids(service) == ["a-2", "a-3"]
    assert [node.instance.id for node in bench.gone] == ["a-1"]


async def test_a_service_that_left_the_registry_is_unknown_until_it_is_back() -> None:
    registry = Registry()
    registry.read(instance("a"))
    bench = Bench(registry)
    service = await bench.services.find("a")
    bench.services.update(registry.read())
    assert await bench.services.find("a") is None
    bench.services.update(registry.read(instance("a")))
    assert await bench.services.find("a") is service
    assert len(bench.made) == 1


async def test_a_look_makes_what_is_known_and_never_waits() -> None:
    registry = Registry()
    bench = Bench(registry)
    assert bench.services.peek("a") is None
    registry.read(instance("a"), instance("b"))
    assert ids(bench.services.peek("b")) == ["b-1"]
    assert ids(bench.services.peek("a")) == ["a-1"]
    assert [service.name for service in bench.services.all_made()] == ["a", "b"]
    assert bench.waited == []


async def test_a_list_for_callers_has_all_that_is_up_and_waits_for_nothing() -> None:
    registry = Registry()
    bench = Bench(registry)
    with pytest.raises(RegistryNotRead) as refused:
        bench.services.listed("orders")
    assert refused.value.retry_after_s == 1.0
    assert [each.id for each in bench.services.listed("fixed")] == ["127.0.0.1:9001"]
    up, down = instance("orders", 1), instance("orders", 2, Status.DOWN)
    registry.read(up, down)
    assert bench.services.listed("orders") == (up,)
    assert bench.services.listed("nobody") == ()
    assert Bench(None).services.listed("orders") == ()
    assert (bench.made, bench.waited) == ([], [])


async def test_a_service_that_is_called_by_tls_only_gets_no_other_members() -> None:
    registry = Registry()
    both = replace(instance("a"), secure_port=443)
    registry.read(both, instance("a", 2))
    bench = Bench(registry, tls_mode=TlsMode.ALWAYS)
    service = await bench.services.find("a")
    assert service is not None
    assert [node.instance.port for node in service.balancer.nodes] == [443]
    bench.services.update(registry.read(instance("a", 2)))
    assert service.balancer.nodes == ()
    assert [node.instance.id for node in bench.gone] == ["a-1"]

"""What the registry says and what traffic shows, joined: from a server's answer through discovery to the balancer."""

import json
from collections.abc import Collection
from random import Random
from typing import Any

import pytest

from loadbalancer.balancer import Balancer
from loadbalancer.ejection import EjectionSettings
from loadbalancer.node import Node
from loadbalancer.outcome import Outcome, Trouble
from loadbalancer.rules import rule_named
from prana.service import Service
from prana.services import Services
from registry.discovery import Discovery
from registry.instance import Instance
from registry.server_url import Server
from registry.transport import Reply


class Eureka:
    """A server that lists `orders-0` to `orders-2`, as Eureka's JSON has them; full reads only."""

    def __init__(self) -> None:
        self.dirty_ms = [1_000, 1_000, 1_000]
        self.statuses = ["UP", "UP", "UP"]
        self.zone = "a"

    def _listed(self, number: int) -> dict[str, Any]:
        return {
            "instanceId": f"orders-{number}",
            "hostName": f"10.0.0.{number}",
            "ipAddr": f"10.0.0.{number}",
            "app": "ORDERS",
            "vipAddress": "orders",
            "status": self.statuses[number],
            "port": {"$": 8080, "@enabled": "true"},
            "metadata": {"zone": self.zone},
            "lastDirtyTimestamp": str(self.dirty_ms[number]),
        }

    async def request(self, method: str, path: str, *, accept: Collection[int] = ()) -> Reply:
        if path == "apps/delta":
            return Reply(404, b"", Server.parse("http://eureka/"))
        up = self.statuses.count("UP")
        hashcode = f"UP_{up}_" if up == 3 else f"DOWN_{3 - up}_UP_{up}_"
        instances = [self._listed(number) for number in range(3)]
        document = {"apps__hashcode": hashcode, "application": [{"name": "ORDERS", "instance": instances}]}
        return Reply(200, json.dumps({"applications": document}).encode(), Server.parse("http://eureka/"))

    def distrust(self, reply: Reply) -> None:
        raise AssertionError("an answer was not believed")


class Joined:
    """Discovery, services and the balancer of `orders` as the sidecar puts them together."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.eureka = Eureka()
        self.discovery = Discovery(self.eureka, fetch_interval_s=30, clock=lambda: self.now_s, rng=Random(1))
        self.services = Services({}, self.discovery, self._make, lambda name, node: None, lambda *call: 1.0)
        self.discovery.subscribe(self.services.update)

    def _make(self, name: str, instances: tuple[Instance, ...], static: bool) -> Service:
        rng = Random(1)
        balancer = Balancer(
            rule_named("p2c-ewma", rng),
            EjectionSettings(),
            lambda: self.now_s,
            rng,
            lambda event: None,
            slow_start_s=10,
        )
        balancer.update(instances)
        unused = dict.fromkeys(Service.__dataclass_fields__)
        return Service(**unused | {"name": name, "known": True, "balancer": balancer})  # type: ignore[arg-type]

    async def read(self) -> None:
        self.now_s += 30
        await self.discovery.refresh()

    @property
    def nodes(self) -> list[Node]:
        service = self.services.peek("orders")
        assert service is not None
        return sorted(service.balancer.nodes, key=lambda node: node.key)

    def refuse(self, node: Node) -> None:
        """Nobody listens there."""
        service = self.services.peek("orders")
        assert service is not None
        pick = service.balancer.attempt(node)
        pick.report(Outcome.FAILURE, 0.001, Trouble.REFUSED)
        pick.release()


@pytest.fixture
async def joined() -> Joined:
    made = Joined()
    await made.read()
    return made


async def test_a_refused_connection_wins_over_an_up_that_is_read_again(joined: Joined) -> None:
    dead = joined.nodes[0]
    joined.refuse(dead)
    assert dead.ejected
    await joined.read()
    assert joined.nodes[0] is dead
    assert (dead.instance.status, dead.ejected) == ("UP", True)


async def test_an_instance_that_registers_anew_is_forgiven_when_that_is_read(joined: Joined) -> None:
    dead, other, _ = joined.nodes
    joined.refuse(dead)
    joined.refuse(other)
    joined.eureka.dirty_ms[0] = 2_000
    await joined.read()
    assert joined.nodes[0] is dead
    assert (dead.ejected, dead.load.cost_s(joined.now_s)) == (False, 0)
    assert dead.weight(joined.now_s) == 0.1, "and starts slowly"
    assert joined.nodes[1].weight(joined.now_s) == 1.0


async def test_what_changes_without_a_newer_timestamp_is_no_new_process(joined: Joined) -> None:
    dead = joined.nodes[0]
    joined.refuse(dead)
    joined.eureka.zone = "b"
    joined.eureka.dirty_ms[0] = 500  # a replica that lags behind
    await joined.read()
    assert joined.nodes[0] is dead
    assert dead.instance.metadata["zone"] == "b"
    assert dead.ejected
    joined.eureka.dirty_ms[0] = 1_000  # and has caught up
    await joined.read()
    assert dead.ejected


async def test_who_went_down_and_came_back_is_a_new_node(joined: Joined) -> None:
    dead = joined.nodes[0]
    joined.refuse(dead)
    joined.eureka.statuses[0] = "DOWN"
    await joined.read()
    assert dead not in joined.nodes
    joined.eureka.statuses[0] = "UP"
    await joined.read()
    assert len(joined.nodes) == 3
    assert not any(node.ejected for node in joined.nodes)

"""Addresses of an instance, and what a failing DNS does to them."""

import asyncio
import socket
from typing import Any

import pytest

from prana.wire.resolve import Resolver

from .conftest import Clock


class Dns:
    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.answer = asyncio.Event()
        self.answer.set()

    async def getaddrinfo(self, host: str, port: object, **_: Any) -> list[Any]:
        self.asked.append(host)
        await self.answer.wait()
        if host not in self.known:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 0)) for ip in self.known[host]]


@pytest.fixture
async def dns(monkeypatch: pytest.MonkeyPatch) -> Dns:
    dns = Dns()
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", dns.getaddrinfo)
    return dns


async def test_an_address_is_not_looked_up(dns: Dns, clock: Clock) -> None:
    resolver = Resolver(clock)
    assert await resolver.addresses("10.0.0.1", "10.0.0.2") == ["10.0.0.1"]
    assert await resolver.addresses("::1", "") == ["::1"]
    assert dns.asked == []


async def test_a_name_is_looked_up_once_in_a_while(dns: Dns, clock: Clock) -> None:
    resolver = Resolver(clock)
    dns.known = {"a": ["10.0.0.1", "10.0.0.2", "10.0.0.1"]}
    for _ in range(2):
        assert await resolver.addresses("a", "10.9.9.9") == ["10.0.0.1", "10.0.0.2"]
    assert dns.asked == ["a"]
    clock.now_s += 30
    dns.known = {"a": ["10.0.0.3"]}
    await resolver.addresses("a", "")  # the last answer, while the new one is on its way
    await asyncio.sleep(0)
    assert await resolver.addresses("a", "") == ["10.0.0.3"]
    assert dns.asked == ["a", "a"]


async def test_all_who_ask_at_once_share_one_look_up(dns: Dns, clock: Clock) -> None:
    resolver = Resolver(clock)
    dns.known = {"a": ["10.0.0.1"]}
    found = await asyncio.gather(*(resolver.addresses("a", "") for _ in range(20)))
    assert (found, dns.asked) == ([["10.0.0.1"]] * 20, ["a"])


async def test_a_dns_that_hangs_holds_up_nobody_for_long(dns: Dns, clock: Clock) -> None:
    resolver = Resolver(clock, patience_s=0.01)
    dns.known = {"known": ["10.0.0.1"]}
    await resolver.addresses("known", "")
    dns.answer.clear()
    clock.now_s += 30
    assert await resolver.addresses("known", "10.9.9.9") == ["10.0.0.1"], "the last good answer"
    assert await resolver.addresses("new", "10.9.9.9") == ["10.9.9.9"], "the registered address"
    await resolver.addresses("new", "10.9.9.9")
    assert dns.asked == ["known", "known", "new"]
    dns.known["new"] = ["10.0.0.2"]
    dns.answer.set()
    assert await resolver.addresses("new", "10.9.9.9") == ["10.0.0.2"]


async def test_closing_ends_the_look_ups_under_way(dns: Dns, clock: Clock) -> None:
    resolver = Resolver(clock, patience_s=0.01)
    dns.answer.clear()
    await resolver.addresses("a", "")
    await resolver.close()
    assert len(asyncio.all_tasks()) == 1, "only this test"


async def test_the_last_good_answer_outlives_a_failing_dns(dns: Dns, clock: Clock) -> None:
    resolver = Resolver(clock)
    dns.known = {"a": ["10.0.0.1"]}
    await resolver.addresses("a", "")
    dns.known = {}
    clock.now_s += 30
    assert await resolver.addresses("a", "10.9.9.9") == ["10.0.0.1"]


@pytest.mark.parametrize(("ip", "found"), [("10.9.9.9", ["10.9.9.9"]), ("a", [])])
async def test_a_name_that_does_not_resolve_leaves_the_registered_ip(
    dns: Dns, clock: Clock, ip: str, found: list[str]
) -> None:
    resolver = Resolver(clock)
    for _ in range(2):
        assert await resolver.addresses("a", ip) == found
    assert dns.asked == ["a"], "a failure is remembered too"


async def test_what_is_not_permitted_is_left_out_and_the_registered_ip_tried(dns: Dns, clock: Clock) -> None:
    resolver = Resolver(clock)
    dns.known = {"mixed": ["169.254.169.254", "10.0.0.1"], "evil": ["169.254.169.254"]}

    def permitted(ip: str) -> bool:
        return ip.startswith("10.")

    assert await resolver.addresses("mixed", "", permitted) == ["10.0.0.1"]
    assert await resolver.addresses("evil", "10.9.9.9", permitted) == ["10.9.9.9"]
    assert await resolver.addresses("evil", "169.254.1.1", permitted) == []
    assert await resolver.addresses("169.254.169.254", "10.9.9.9", permitted) == []

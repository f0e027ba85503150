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

    async def getaddrinfo(self, host: str, port: object, **_: Any) -> list[Any]:
        self.asked.append(host)
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
    assert await resolver.addresses("a", "") == ["10.0.0.3"]


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

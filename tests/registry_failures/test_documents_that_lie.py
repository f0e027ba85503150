"""Documents that are garbage, huge, empty or wrong, and instances that are not what they claim to be."""

import asyncio
import gzip
import json
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from prana.wire.pool import Address
from tests.registry_failures.conftest import (
    Clock,
    Running,
    StartServer,
    StartSidecar,
    settled,
    unharmed,
    until,
)
from tests.registry_failures.eureka import Answer, Eureka, always, applications, instance, streaming

MIB = 1024 * 1024
MAX_GROWTH_BYTES = 64 * MIB  # twice the limit of a document, which may move as it grows, and what the server needs
MAX_STALL_S = 0.3  # of the loop that serves the traffic and that of the test's server, on a busy machine


GARBAGE: dict[str, bytes] = {
    "nothing": b"",
    "html": b"<html><body>Bad Gateway</body></html>",
    "xml": b"<?xml version='1.0'?><applications><versions__delta>1</versions__delta></applications>",
    "half a document": b'{"applications":{"application":[{"name":"ORDERS","instance":[{"instanceId":"a","host',
    "no applications": b'{"instances":[]}',
    "wrong types": b'{"applications":[1,2,3]}',
    "deep nesting": b'{"applications":' + b"[" * 100_000,
    "not utf-8": b'{"applications":{"application":[{"name":"\xff\xfe"',
    "two documents": b'{"applications":{"application":[]}}{"applications":{"application":[]}}',
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_changes_nothing(running: Running, eureka: Eureka, body: bytes) -> None:
    async with unharmed(running):
        failures = running.discovery.fetch_failures_total
        eureka.reads = always(200, body, {"Content-Type": "application/json"})
        await running.reads(2)
        assert running.discovery.fetch_failures_total >= failures + 2
        assert len(running.discovery.snapshot.instances) == 3
        eureka.reads = None
        await running.good_read()


async def test_half_a_body_changes_nothing(running: Running, eureka: Eureka) -> None:
    async def cut_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"applications":{"application":[]}}')
        assert request.transport is not None
        request.transport.abort()
        return response

    async with unharmed(running):
        eureka.reads = cut_off
        await running.reads(2)
        assert running.discovery.problem
        assert len(running.discovery.snapshot.instances) == 3
        eureka.reads = None
        await running.good_read()


def _bomb() -> bytes:
    """200 MiB in 200 kB, packed piece by piece."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * MIB) for _ in range(200)) + packer.flush()


HUGE: dict[str, Answer] = {
    "announced": streaming(200, b" " * MIB, {"Content-Length": str(200 * MIB)}),
    "chunked": streaming(200, b" " * MIB, {}),
    "gzip bomb": always(200, _bomb(), {"Content-Encoding": "gzip"}),
}


@pytest.mark.alone
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's peak of resident memory")
@pytest.mark.parametrize("answer", HUGE.values(), ids=HUGE.keys())
async def test_a_huge_body_is_left_off_within_bounded_memory_and_time(
    running: Running, eureka: Eureka, answer: Answer
) -> None:
    async with unharmed(running), Stalls() as stalls:
        await running.reads(2)
        _forget_peak()
        before = _peak_bytes()
        eureka.reads = answer
        await running.reads(1)
        eureka.reads = None
        assert "larger than" in running.discovery.problem
        assert _peak_bytes() - before < MAX_GROWTH_BYTES
        assert len(running.discovery.snapshot.instances) == 3
        await running.good_read()
    assert stalls.longest_s < MAX_STALL_S


@pytest.mark.alone
async def test_a_large_registry_is_read_without_holding_up_the_traffic(running: Running, eureka: Eureka) -> None:
    many = [
        instance(f"app-{number % 100}", number, f"10.1.{number // 250}.{number % 250}") for number in range(1, 4998)
    ]
    body = gzip.compress(json.dumps(applications([*eureka.listed, *many], "UP_5000_")).encode())
    assert len(many) + 3 == 5000
    async with unharmed(running), Stalls() as stalls:
        eureka.reads = always(200, body, {"Content-Encoding": "gzip"})
        await until(lambda: len(running.discovery.snapshot.instances) == 5000, "all of it")
    assert stalls.longest_s < MAX_STALL_S


class Stalls:
    """Measures how long the loop's thread works between two turns: CPU time, which other processes do not lengthen."""

    longest_s = 0.0

    async def __aenter__(self) -> "Stalls":
        self._task = asyncio.create_task(self._measure())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _measure(self) -> None:
        while True:
            asked_s = time.thread_time()
            await asyncio.sleep(0.002)
            self.longest_s = max(self.longest_s, time.thread_time() - asked_s)


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


# too little


@pytest.mark.parametrize("left", [0, 1])
async def test_a_registry_that_suddenly_shrinks_is_held_until_it_is_confirmed(
    running: Running, eureka: Eureka, clock: Clock, left: int
) -> None:
    async with unharmed(running):
        eureka.listed = eureka.listed[3 - left :]
        await running.good_read()
        seen = await running.eureka_metrics()
        assert (seen["instances"], seen["held_instances"]) == (3, 3 - left)
        health = (await running.admin("/health"))[1]
        assert health["components"]["eureka"]["details"]["held_instances"] == 3 - left
        await running.reads(5)
        assert len(running.discovery.snapshot.instances) == 3, "reading the same again is no confirmation"
    clock.monotonic_step_s += 61.0
    await until(lambda: len(running.discovery.snapshot.instances) == left, "the shrink to be believed")
    assert (await running.call())[0] == 404


async def test_a_restarted_empty_registry_that_fills_again_is_never_noticed(
    running: Running, eureka: Eureka, clock: Clock
) -> None:
    async with unharmed(running):
        listed, eureka.listed = eureka.listed, []
        await running.good_read()
        for count in (1, 2, 3):
            eureka.listed = listed[3 - count :]
            await running.good_read()
            assert len(running.discovery.snapshot.instances) == 3
        assert running.discovery.held_instances == 0
        clock.monotonic_step_s += 61.0
        await running.good_read()


async def test_a_delta_that_deletes_most_is_asked_about_again(running: Running, eureka: Eureka) -> None:
    async with unharmed(running):
        eureka.changes = [each | {"actionType": "DELETED"} for each in eureka.listed]
        eureka.hashcode = ""
        eureka.listed = list(eureka.listed)
        await running.reads(3)
        assert len(running.discovery.snapshot.instances) == 3, "the full read denies it"


# not what the hash says


async def test_a_wrong_hash_leads_to_full_reads_and_nothing_is_shown_half(running: Running, eureka: Eureka) -> None:
    shown: list[int] = []
    async with unharmed(running):
        running.discovery.subscribe(lambda snapshot: shown.append(len(snapshot.instances)))
        eureka.changes, eureka.hashcode = [], "UP_999_"
        full_reads = eureka.count("GET", "apps/") - eureka.count("GET", "apps/delta")
        await running.reads(4)
        assert eureka.count("GET", "apps/") - eureka.count("GET", "apps/delta") >= full_reads + 3
        assert shown == []


async def test_a_delta_that_tells_only_a_part_is_completed_by_a_full_read(running: Running, eureka: Eureka) -> None:
    shown: list[int] = []
    async with unharmed(running):
        running.discovery.subscribe(lambda snapshot: shown.append(len(snapshot.instances)))
        new = [instance("c", 1), instance("d", 1)]
        eureka.listed, eureka.changes = [*eureka.listed, *new], new[:1]
        await until(lambda: len(running.discovery.snapshot.instances) == 5, "both of them")
        assert shown == [5]


# not to be trusted

POISON: dict[str, dict[str, Any]] = {
    "metadata address": {"host": "169.254.169.254"},
    "link-local": {"host": "169.254.7.7"},
    "mapped": {"host": "::ffff:169.254.169.254"},
    "metadata name": {"host": "metadata.google.internal"},
    "unspecified": {"host": "0.0.0.0"},
    "multicast": {"host": "224.0.0.1"},
    "broadcast": {"host": "255.255.255.255"},
    "port 0": {"port": 0},
    "line break": {"host": "127.0.0.1\r\nX: y"},
    "url": {"host": "http://127.0.0.1"},
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
async def test_a_poisoned_instance_is_never_dialled(
    running: Running, eureka: Eureka, poison: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled = record_dials(running, monkeypatch)
    async with unharmed(running):
        eureka.listed += [instance("orders", **{"port": 80} | poison), instance("evil", **{"port": 80} | poison)]
        await running.good_read()
        for _ in range(5):
            status, body = await running.call("/evil/")
            assert (status, json.loads(body)["attempts"]) == (503, 0)
        await running.reads(3)
        assert sum((await running.eureka_metrics())["refused_instances_total"].values()) == 2
    assert all(ip == "127.0.0.1" for _, ip in dialled)


@pytest.mark.parametrize("which", ["proxy", "admin"])
async def test_our_own_ports_are_never_dialled(running: Running, eureka: Eureka, which: str) -> None:
    port = running.port if which == "proxy" else running.sidecar.admin_port
    async with unharmed(running):
        eureka.listed += [instance("orders", port), instance("evil", port)]
        await running.good_read()
        assert (await running.call("/evil/"))[0] == 503
        assert (await running.eureka_metrics())["refused_instances_total"] == {"own_port": 2}


async def test_a_name_that_leads_to_a_refused_address_is_not_dialled(
    running: Running, eureka: Eureka, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled = record_dials(running, monkeypatch)

    async def lookup(_: str) -> list[str]:
        return ["169.254.169.254"]

    monkeypatch.setattr(running.sidecar._pool._resolver, "_lookup", lookup)
    async with unharmed(running):
        eureka.listed.append(instance("evil", 80, "innocent.example", ipAddr="10.0.0.1"))
        eureka.listed[-1]["ipAddr"] = "innocent.example"
        await running.good_read()
        status, body = await running.call("/evil/")
        assert status == 502
        assert b"no address that may be called" in body
        assert (await running.eureka_metrics())["refused_instances_total"] == {"metadata": 1}
    assert all(ip == "127.0.0.1" for _, ip in dialled)


async def test_instances_on_loopback_are_refused_where_they_are_not_allowed(
    start_sidecar: StartSidecar, start_eureka: StartServer, callee: int
) -> None:
    eureka = await start_eureka(instance("orders", callee))
    running = await start_sidecar(eureka.url, loopback="never")
    await settled(running)
    assert (await running.call())[0] == 503
    assert (await running.eureka_metrics())["refused_instances_total"] == {"loopback": 1}


def record_dials(running: Running, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Address, str]]:
    """Every address that is connected to."""
    dialled: list[tuple[Address, str]] = []
    pool = running.sidecar._pool
    really = pool._dial

    async def dial(address: Address, ip: str) -> Any:
        dialled.append((address, ip))
        return await really(address, ip)

    monkeypatch.setattr(pool, "_dial", dial)
    return dialled

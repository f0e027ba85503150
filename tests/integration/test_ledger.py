"""Instances that fail in the ways that lose or double requests, and a ledger that joins both ends.

Every request has an id and a body of its own. Each caller notes what it got, each instance what it took; only the two
together tell what was lost, doubled, mixed up or cut.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from random import Random

import pytest

from prana.config.settings import Balancer, Breaker, Eject, Retry

from .conftest import Caller, Peer, Recorded, Running, StartSidecar, StartUpstream, Upstream, get, post, response

CALLERS, ROUNDS = 6, 25
TIMEOUT_S = 5.0
RETRIES = 2

Fault = Callable[[Peer, Random], Awaitable[None]]


@dataclass(frozen=True)
class Entry:
    """What a caller knows of one of its requests."""

    method: bytes
    id: bytes
    body: bytes
    status: int  # 0: the answer was cut, where the caller could see it
    answer_id: bytes
    answer_body: bytes
    duration_s: float

    @property
    def digest(self) -> bytes:
        return sha256(self.body).hexdigest().encode()


def receipt(recorded: Recorded) -> bytes:
    """An answer that can be told from any other."""
    (name,) = recorded.values(b"X-Id")
    return response(sha256(recorded.body).hexdigest().encode(), b"X-Id: " + name)


async def answer(peer: Peer) -> None:
    await peer.send(receipt(await peer.request()))


# Each serves one connection; what is random in it is seeded. The numbers are those of our list of faults.


async def dies_before_the_reply(peer: Peer, rng: Random) -> None:
    """10"""
    while True:
        recorded = await peer.request()
        if rng.random() < 0.3:
            return peer.reset() if rng.random() < 0.5 else None
        await peer.send(receipt(recorded))


async def dies_in_the_reply(peer: Peer, rng: Random) -> None:
    """11"""
    while True:
        whole = receipt(await peer.request())
        if rng.random() < 0.3:
            await peer.send(whole[: rng.randrange(1, len(whole))])
            return peer.reset() if rng.random() < 0.5 else None
        await peer.send(whole)


async def closes_as_the_next_request_arrives(peer: Peer, rng: Random) -> None:
    """16, at the worst moment: the request is on its way, and the server has stopped reading."""
    while True:
        await answer(peer)
        if rng.random() < 0.5:
            assert await peer.reader.read(1)
            return peer.reset() if rng.random() < 0.5 else None


async def closes_after_the_answer(peer: Peer, rng: Random) -> None:
    """16, without a word before."""
    await answer(peer)


async def keeps_alive_for_a_moment(peer: Peer, rng: Random) -> None:
    """16, as a server with a keep-alive that callers reach just so."""
    await answer(peer)
    try:
        while True:
            async with asyncio.timeout(0.02):
                recorded = await peer.request()
            await peer.send(receipt(recorded))
    except TimeoutError:
        return


GARBAGE = [
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100,
]


async def talks_garbage(peer: Peer, rng: Random) -> None:
    """17"""
    while True:
        whole = receipt(await peer.request())
        if rng.random() < 0.3:
            behind = rng.random() < 0.5  # an answer that is fine, and another one that nobody asked for
            await peer.send(whole + response(b"forged", b"X-Id: forged") if behind else rng.choice(GARBAGE))
            await peer.ended()
            return
        await peer.send(whole)


def faulty(fault: Fault, seed: int) -> Callable[[Peer], Awaitable[None]]:
    rng = Random(seed)
    return lambda peer: fault(peer, rng)


async def good(peer: Peer, rng: Random) -> None:
    while True:
        await answer(peer)


async def converse(running: Running, number: int) -> list[Entry]:
    """One caller's requests, one after the other, with pauses about as long as a short keep-alive."""
    rng = Random(number)
    caller: Caller | None = None
    entries = []
    for turn in range(ROUNDS):
        caller = caller or await running.open()
        name, method = b"%d-%d" % (number, turn), rng.choice([b"GET", b"GET", b"POST"])
        body = rng.randbytes(rng.choice([0, 10, 10_000])) if method == b"POST" else b""
        raw = post(b"/orders/", body, b"X-Id: " + name) if method == b"POST" else get(b"/orders/", b"X-Id: " + name)
        started_s = asyncio.get_running_loop().time()
        status, answer_id, answer_body = 0, b"", b""
        try:
            got = await caller.ask(raw)
            status, answer_body = got.status, got.body
            answer_id = b"".join(got.values(b"X-Id"))
        except (asyncio.IncompleteReadError, ConnectionResetError):
            caller = None
        duration_s = asyncio.get_running_loop().time() - started_s
        entries.append(Entry(method, name, body, status, answer_id, answer_body, duration_s))
        await asyncio.sleep(rng.choice([0.0, 0.0, 0.02, 0.021, 0.04]))
    return entries


async def ledger_of(running: Running, upstreams: list[Upstream]) -> list[Entry]:
    """What the callers wrote down, joined with what the instances did."""
    entries = [
        each for entries in await asyncio.gather(*(converse(running, n) for n in range(CALLERS))) for each in entries
    ]
    taken: dict[bytes, list[bytes]] = {}
    for upstream in upstreams:
        for recorded in upstream.requests:
            taken.setdefault(recorded.values(b"X-Id")[0], []).append(sha256(recorded.body).hexdigest().encode())
    for entry in entries:
        seen = taken.get(entry.id, [])
        if entry.status == 200:
            assert entry.digest in seen, "L1: an answer of an instance that took the request"
            assert (entry.answer_id, entry.answer_body) == (entry.id, entry.digest), "L4, L5: the whole of its own"
        if entry.method == b"POST":
            assert len(seen) <= 1, "L2: never twice"
        else:
            assert len(seen) <= 2 * (1 + RETRIES), "L3: each attempt, and its replay"
        assert entry.duration_s < TIMEOUT_S, "L6"
    return entries  # L7 and L8 are those of every test here, when its sidecar ends


def failures(entries: list[Entry], method: bytes) -> list[int]:
    return [entry.status for entry in entries if entry.method == method and entry.status != 200]


@pytest.fixture
def start(start_sidecar: StartSidecar, start_upstream: StartUpstream) -> Callable[..., Awaitable[list[Entry]]]:
    """Callers against instances of these faults."""

    async def run(*faults: Fault) -> list[Entry]:
        upstreams = [await start_upstream(faulty(fault, seed)) for seed, fault in enumerate(faults)]
        running = await start_sidecar(
            *(upstream.port for upstream in upstreams),
            timeout=TIMEOUT_S,
            balancer=Balancer(rule="RoundRobinRule"),  # which does not spare those that fail
            breaker=Breaker(enabled=False),
            eject=Eject(consecutive_failures=1_000_000, min_success_ratio=0.0),
            retry=Retry(max_retries=RETRIES, budget_floor_per_s=100_000),
        )
        entries = await ledger_of(running, upstreams)
        nodes = running.service().balancer.nodes
        assert len(nodes) == 1 or sum(node.failures for node in nodes) > 0, "or nothing was tested"
        return entries

    return run


Start = Callable[..., Awaitable[list[Entry]]]


@pytest.mark.parametrize(
    "fault", [closes_as_the_next_request_arrives, closes_after_the_answer, keeps_alive_for_a_moment]
)
async def test_connections_that_end_while_they_idle_cost_no_get_and_double_no_post(start: Start, fault: Fault) -> None:
    entries = await start(fault)
    assert failures(entries, b"GET") == []
    assert set(failures(entries, b"POST")) <= {502}


@pytest.mark.parametrize("fault", [dies_before_the_reply, talks_garbage])
async def test_what_fails_before_an_answer_costs_no_get_where_there_is_another_instance(
    start: Start, fault: Fault
) -> None:
    entries = await start(fault, good, good)
    assert failures(entries, b"GET") == []
    assert set(failures(entries, b"POST")) <= {502}


async def test_an_answer_that_breaks_off_never_looks_complete(start: Start) -> None:
    entries = await start(dies_in_the_reply, good)
    cut = failures(entries, b"GET") + failures(entries, b"POST")
    assert 0 in cut
    assert set(cut) <= {0, 502}, "cut visibly, or not begun"

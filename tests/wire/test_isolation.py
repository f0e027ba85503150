"""Callers share a pool and never see each other's bytes, whatever callers and instances do, and in whatever order.

Everything is in memory and one event after another, so that hypothesis can shrink a failure to the few that matter.
What an instance sends for a request carries that request's number; what it sends without being asked is POISON.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from prana.request import Request, Response
from prana.wire.client import AttemptTimes, Client
from prana.wire.pool import Pool
from tests.fuzz.memory import NEVER_S, Caller, MemoryTransport, pieces, quiet
from tests.fuzz.readers import Message, read_answers, read_requests

from .conftest import Clock

ADDRESS = ("10.0.0.1", "10.0.0.1", 80, None)
POISON = b"HTTP/1.1 200 OK\r\nX-Id: POISON\r\nContent-Length: 6\r\n\r\nPOISON"
MARK = re.compile(rb"<(\d+)>")


@dataclass
class Peer:
    """A caller, what it has asked, and what it has still to send."""

    caller: Caller
    numbers: list[int] = field(default_factory=list)
    methods: list[bytes] = field(default_factory=list)
    unsent: bytes = b""
    judged_bytes: int = 0  # of what it received

    def send(self, count: int) -> None:
        data, self.unsent = self.unsent[:count], self.unsent[count:]
        if data:
            self.caller.transport.deliver(data)


@dataclass
class Line:
    """An instance's end of a connection."""

    transport: MemoryTransport
    answered: int = 0  # requests on it that have got their whole answer
    unsent: bytes = b""  # the rest of an answer under way
    closes: bool = False  # behind it
    last: int | None = None  # requests it may have got in all, once it has done something unusual

    _read: tuple[int, list[Message]] = (0, [])

    @property
    def requests(self) -> list[Message]:
        if len(self.transport.written) != self._read[0]:
            self._read = len(self.transport.written), read_requests(self.transport.written)
        return self._read[1]

    @property
    def open(self) -> bool:
        return not self.transport.closing

    def sin(self) -> None:
        """It does something unusual: from now on nobody may ask it anything."""
        self.last = len(self.requests)

    def asked(self) -> Message | None:
        """The request it has to answer, whole or not."""
        requests = self.requests
        return requests[self.answered] if len(requests) > self.answered else None


class MemoryLoop(asyncio.SelectorEventLoop):
    """Connects to instances in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []

    async def create_connection(  # type: ignore[override] # as the pool calls it
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[MemoryTransport, asyncio.Protocol]:
        protocol = factory()
        sockname = ("10.0.0.2", 1000 + len(self.lines))
        self.lines.append(Line(MemoryTransport(protocol, peername=(host, port), sockname=sockname)))
        return self.lines[-1].transport, protocol


def request_bytes(number: int, method: bytes, framing: str) -> bytes:
    head = b"%b /%d HTTP/1.1\r\nHost: a\r\n" % (method, number)
    body = b"<%d>" % number
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    if framing == "chunked":
        return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return head + b"\r\n"


def answer_bytes(number: int, method: bytes, style: str) -> tuple[bytes, bool]:
    """An answer, and whether only the close ends it."""
    mark = b"<%d>" % number
    head = b"HTTP/1.1 %b\r\nX-Id: %b\r\n"
    if style in ("204 None", "304 Same"):
        return head % (style.encode(), mark) + b"\r\n", False
    ok = head % (b"200 OK", mark)
    if style == "interim":
        return head % (b"103 Early", mark) + b"\r\n" + answer_bytes(number, method, "length")[0], False
    if style == "closing":
        ok += b"Connection: close\r\n"
    framing, body = b"Content-Length: %d\r\n\r\n" % len(mark), mark
    if style == "chunked":
        framing, body = b"Transfer-Encoding: chunked\r\n\r\n", b"%x;x=y\r\n%b\r\n0\r\nX-T: %b\r\n\r\n" % (
            len(mark), mark, mark,
        )  # fmt: skip
    elif style == "close" and method != b"HEAD":
        return ok + b"\r\n" + mark, True
    return ok + framing + (b"" if method == b"HEAD" else body), style == "closing"


class Sharing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = MemoryLoop()
        self.unhandled: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.unhandled.append(context))
        self.clock = Clock()
        self.pool = Pool(self.clock)
        self.client = Client(self.pool, self.clock)
        self.peers: list[Peer] = []
        self.count = 0

    # helpers

    async def _exchange(self, request: Request) -> Response:
        return await self.client.send(request, ADDRESS, AttemptTimes(NEVER_S, NEVER_S))

    def _step(self, act: Callable[[], None]) -> None:
        """One event, and all that follows from it."""

        def progress() -> object:
            received = [peer.caller.received for peer in self.peers]
            return received, [line.transport.written for line in self.loop.lines], len(self.pool)

        async def step() -> None:
            act()
            await quiet(progress)

        self.loop.run_until_complete(step())

    def _lines(self, *, asked: bool) -> list[Line]:
        return [line for line in self.loop.lines if line.open and (line.asked() is not None) is asked]

    # what callers do

    @precondition(lambda self: len(self.peers) < 4)
    @rule()
    def connect(self) -> None:
        self._step(lambda: self.peers.append(Peer(Caller(self._exchange, self.clock))))

    @precondition(lambda self: self.peers)
    @rule(
        data=st.data(),
        method=st.sampled_from([b"GET", b"HEAD", b"PUT", b"POST"]),
        framing=st.sampled_from(["none", "length", "chunked"]),
        count=st.sampled_from([1000, 1000, 20, 60]),
    )
    def ask(self, data: st.DataObject, method: bytes, framing: str, count: int) -> None:
        peer = data.draw(st.sampled_from(self.peers))
        self.count += 1
        peer.numbers.append(self.count)
        peer.methods.append(method)
        peer.unsent += request_bytes(self.count, method, framing if method in (b"PUT", b"POST") else "none")
        self._step(lambda: peer.send(count))

    @precondition(lambda self: any(peer.unsent for peer in self.peers))
    @rule(data=st.data(), count=st.sampled_from([1, 10, 1000]))
    def send_more(self, data: st.DataObject, count: int) -> None:
        peer = data.draw(st.sampled_from([peer for peer in self.peers if peer.unsent]))
        self._step(lambda: peer.send(count))

    @precondition(lambda self: self.peers)
    @rule(data=st.data(), how=st.sampled_from(["abort", "finish"]))
    def leave(self, data: st.DataObject, how: str) -> None:
        peer = data.draw(st.sampled_from(self.peers))
        self._step(peer.caller.transport.abort if how == "abort" else peer.caller.transport.finish)

    # what instances do

    @precondition(lambda self: any(not line.unsent for line in self._lines(asked=True)))
    @rule(
        data=st.data(),
        style=st.sampled_from(["length", "length", "chunked", "close", "closing", "interim", "204 None", "304 Same"]),
        behind=st.sampled_from([b"", b"", b"", POISON, POISON[:1], POISON[:20], b"\x00POISON", b"0\r\n\r\n" + POISON]),
        cuts=st.lists(st.integers(0, 200), max_size=3),
        held_back=st.sampled_from([0, 0, 0, 1, 30]),
    )
    def answer(self, data: st.DataObject, style: str, behind: bytes, cuts: list[int], held_back: int) -> None:
        line = data.draw(st.sampled_from([line for line in self._lines(asked=True) if not line.unsent]))
        asked = line.asked()
        assert asked is not None
        answer, line.closes = answer_bytes(int(asked.target[1:]), asked.method, style)
        at = max(0, len(answer) - held_back)
        line.unsent = answer[at:]
        if line.closes or line.unsent:
            behind = b""  # it would be part of the body
        if behind or line.closes or not asked.complete:
            line.sin()
        self._deliver(line, answer[:at] + behind, cuts)

    @precondition(lambda self: any(line.unsent for line in self._lines(asked=True)))
    @rule(data=st.data(), behind=st.sampled_from([b"", POISON]))
    def answer_on(self, data: st.DataObject, behind: bytes) -> None:
        line = data.draw(st.sampled_from([line for line in self._lines(asked=True) if line.unsent]))
        rest, line.unsent = line.unsent, b""
        if behind and not line.closes:
            line.sin()
            rest += behind
        self._deliver(line, rest, [])

    def _deliver(self, line: Line, data: bytes, cuts: list[int]) -> None:
        if not line.unsent:
            line.answered += 1

        def deliver() -> None:
            for piece in pieces(data, cuts):
                line.transport.deliver(piece)
            if line.closes and not line.unsent:
                line.transport.finish()

        self._step(deliver)

    @precondition(lambda self: any(not line.unsent for line in self._lines(asked=True)))
    @rule(
        data=st.data(),
        garbage=st.sampled_from([b"\x16\x03\x01", b"HTTP/1.1 200 OK\r\nX :\r\n\r\n", b"HTTP/1.1 101 No\r\n\r\n"]),
    )
    def answer_with_garbage(self, data: st.DataObject, garbage: bytes) -> None:
        line = data.draw(st.sampled_from([line for line in self._lines(asked=True) if not line.unsent]))
        line.sin()
        self._step(lambda: line.transport.deliver(garbage))

    @precondition(lambda self: self._lines(asked=False))
    @rule(data=st.data(), count=st.sampled_from([1, 20, 1000]))
    def answer_unasked(self, data: st.DataObject, count: int) -> None:
        line = data.draw(st.sampled_from(self._lines(asked=False)))
        line.sin()
        self._step(lambda: line.transport.deliver(POISON[:count]))

    @precondition(lambda self: any(line.open for line in self.loop.lines))
    @rule(data=st.data(), how=st.sampled_from(["abort", "finish"]))
    def hang_up(self, data: st.DataObject, how: str) -> None:
        line = data.draw(st.sampled_from([line for line in self.loop.lines if line.open]))
        self._step(line.transport.abort if how == "abort" else line.transport.finish)

    @rule(passed_s=st.sampled_from([0.5, 2.0, 5.0]))
    def let_time_pass(self, passed_s: float) -> None:
        def sweep() -> None:
            self.clock.now_s += passed_s
            self.pool.sweep()

        self._step(sweep)

    # what must hold

    @invariant()
    def everybody_reads_his_own(self) -> None:
        assert not self.unhandled, self.unhandled
        for peer in self.peers:
            received = peer.caller.received
            if len(received) == peer.judged_bytes:
                continue
            peer.judged_bytes = len(received)
            assert b"POISON" not in received
            assert {int(number) for number in MARK.findall(received)} <= set(peer.numbers)
            answers = read_answers(received, peer.methods)
            for number, answer in zip(peer.numbers, answers, strict=False):
                mark = b"<%d>" % number
                assert answer.values(b"proxy-status") or answer.values(b"x-id") == [mark]
                assert answer.values(b"proxy-status") or mark.startswith(answer.body)

    @invariant()
    def instances_read_whole_requests(self) -> None:
        for line in self.loop.lines:
            assert all(request.complete for request in line.requests[:-1]), "a request within another"
            assert line.last is None or len(line.requests) <= line.last, "used again after something unusual"
            for request in line.requests:
                assert (b"<%b>" % request.target[1:]).startswith(request.body)

    def teardown(self) -> None:
        """Whoever waits is answered or let go, and nothing is left behind."""
        for line in self._lines(asked=True):
            self._step(line.transport.abort)
        for peer in self.peers:
            self._step(peer.caller.transport.abort)
        assert len(self.pool) == sum(line.open for line in self.loop.lines)
        assert not self._lines(asked=True), "an exchange nobody waits for"
        self.loop.run_until_complete(self.pool.close())
        self._step(lambda: None)
        self.everybody_reads_his_own()
        assert len(self.pool) == 0
        self.loop.close()


def test_callers_of_one_pool_never_see_each_others_bytes() -> None:
    run_state_machine_as_test(Sharing, settings=settings(max_examples=120, stateful_step_count=40, deadline=None))

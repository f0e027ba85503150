"""The exchange between a running process and its successor, both in one process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from prana import handover
from prana.handover import HandOver, Identity, Predecessor
from prana.startup import StartupError

KEEPS = [("ORDERS", "orders-1")]


class Old:
    """A running process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.proxy = socket.create_server(("127.0.0.1", 0))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        self.released: list[Collection[Identity]] = []
        self.may_release = asyncio.Event()
        self.may_release.set()
        self.hand_over = HandOver(listener, lambda: [self.proxy], self._release, borrowed=False)
        self.task = asyncio.create_task(self.hand_over.run())

    async def _release(self, keeps: Collection[Identity]) -> None:
        await self.may_release.wait()
        self.released.append(keeps)

    async def successor(self) -> Predecessor:
        predecessor = await asyncio.to_thread(Predecessor.at, str(self.path))
        assert predecessor is not None
        return predecessor


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[Old]:
    old = Old(tmp_path / "hand-over.sock")
    yield old
    old.task.cancel()
    await asyncio.wait([old.task])
    old.hand_over.close()
    old.proxy.close()


async def test_the_successor_gets_the_sockets_and_the_registrations(old: Old) -> None:
    predecessor = await old.successor()
    name = old.proxy.getsockname()
    taken = predecessor.passed.take(socket.AF_INET, name)
    path = predecessor.passed.take(socket.AF_UNIX, str(old.path))
    assert taken is not None
    assert path is not None, "so that it can be succeeded in its turn"
    assert not old.released
    await predecessor.replace(KEEPS)
    assert old.released == [KEEPS]
    await old.task
    old.hand_over.close()
    assert old.path.exists(), "it is the successor's"
    taken.close()
    path.close()


async def test_a_successor_that_goes_away_changes_nothing(old: Old) -> None:
    first = await old.successor()
    first.passed.close()
    assert old.hand_over.successor_starts
    first.close()
    async with asyncio.timeout(10):
        while old.hand_over.successor_starts:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.005)
    second = await old.successor()
    second.passed.close()
    await second.replace(KEEPS)
    assert old.released == [KEEPS]


async def test_a_predecessor_that_has_ended_is_seen_without_asking(old: Old) -> None:
    predecessor = await old.successor()
    predecessor.passed.close()
    assert not predecessor.gone
    old.task.cancel()
    await asyncio.wait([old.task])
    assert predecessor.gone
    predecessor.close()


async def test_what_a_successor_must_not_say_is_not_believed(old: Old) -> None:
    with capture_logs() as logs:
        for wrong in (b"{}\n", b'{"keeps":"all"}\n', b"\xff\n"):
            predecessor = await old.successor()
            predecessor.passed.close()
            await asyncio.get_running_loop().sock_sendall(predecessor._connection, wrong)
            assert await asyncio.get_running_loop().sock_recv(predecessor._connection, 10) == b""
            predecessor.close()
    assert not old.released
    assert [line["event"] for line in logs].count("not replaced: the successor broke off") == 3


async def test_a_predecessor_that_does_not_let_go_is_not_waited_for(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "_RELEASE_S", 0.02)
    old.may_release.clear()
    predecessor = await old.successor()
    predecessor.passed.close()
    with capture_logs() as logs:
        await predecessor.replace(KEEPS)
    assert [line["event"] for line in logs] == ["the predecessor did not let go"]
    old.may_release.set()


async def test_a_predecessor_that_dies_meanwhile_is_succeeded_all_the_same(old: Old) -> None:
    predecessor = await old.successor()
    predecessor.passed.close()
    old.task.cancel()
    await asyncio.wait([old.task])
    with capture_logs() as logs:
        await predecessor.replace(KEEPS)
    assert len(logs) == 1


async def test_a_successor_that_does_not_hear_the_last_word_has_taken_over_all_the_same(old: Old) -> None:
    old.may_release.clear()
    predecessor = await old.successor()
    predecessor.passed.close()
    await asyncio.get_running_loop().sock_sendall(predecessor._connection, b'{"keeps":[]}\n')
    predecessor.close()
    old.may_release.set()
    await old.task
    assert old.released == [[]]


@pytest.mark.parametrize("leftover", [True, False])
def test_where_nobody_runs_there_is_no_predecessor(tmp_path: Path, leftover: bool) -> None:
    path = str(tmp_path / "s")
    if leftover:
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(path)
    assert Predecessor.at(path) is None


@pytest.mark.parametrize("hello", [b"", b"HTTP/1.1 200 OK", b'{"prana":2}\n'])
async def test_anything_else_at_the_path_is_said(tmp_path: Path, hello: bytes) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        asked = asyncio.create_task(asyncio.to_thread(Predecessor.at, path))
        connection, _ = await asyncio.to_thread(other.accept)
        connection.sendall(hello)
        connection.close()
        with pytest.raises(StartupError, match="is being replaced, or is no Prana"):
            await asked

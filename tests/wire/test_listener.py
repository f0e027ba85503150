"""Accepting over real sockets, with descriptors that run out when told to."""

import asyncio
import errno
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from prana.wire import listener as module
from prana.wire.descriptors import Shortage
from prana.wire.listener import Listener

from .conftest import Clock


class Greeting(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


class Scarce(socket.socket):
    """Accepts only while there are `left`; the kernel keeps who waits."""

    left = 0
    code = errno.EMFILE
    tries = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.tries += 1
        if self.left == 0:
            raise OSError(self.code, "as told")
        accepted = super().accept()
        self.left -= 1
        return accepted


@pytest.fixture
def shortage(clock: Clock) -> Shortage:
    return Shortage(clock, lambda: None)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.01)


def callers_of(sock: socket.socket, count: int) -> list[socket.socket]:
    callers = [socket.create_connection(sock.getsockname()) for _ in range(count)]
    for caller in callers:
        caller.setblocking(False)
    return callers


async def answer(caller: socket.socket) -> bytes:
    async with asyncio.timeout(10):
        received = await asyncio.get_running_loop().sock_recv(caller, 100)
    caller.close()
    return received


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.005)


async def test_who_waits_in_the_backlog_is_served_before_the_port_closes(shortage: Shortage) -> None:
    listener = Listener(socket.create_server(("127.0.0.1", 0), backlog=200), Greeting, shortage)
    callers = callers_of(listener.socket, 150)
    address = listener.socket.getsockname()
    listener.open()
    listener.close()
    assert {await answer(caller) for caller in callers} == {b"hello"}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


async def test_who_waits_when_it_is_released_is_left_to_the_other_process(shortage: Shortage) -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    successor = Listener(sock.dup(), Greeting, shortage, borrowed=True)
    listener = Listener(sock, Greeting, shortage)
    listener.open()
    callers = callers_of(sock, 3)
    listener.release()
    listener.close()
    successor.open()
    assert {await answer(caller) for caller in callers} == {b"hello"}
    successor.close()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
async def test_without_descriptors_accepting_pauses_and_goes_on_by_itself(shortage: Shortage, code: int) -> None:
    sock = Scarce(fileno=socket.create_server(("127.0.0.1", 0)).detach())
    sock.code = code
    listener = Listener(sock, Greeting, shortage)
    listener.open()
    callers = callers_of(sock, 3)
    await until(lambda: shortage.pauses_total >= 3)
    sock.left = 100
    assert {await answer(caller) for caller in callers} == {b"hello"}
    listener.close()


async def test_nothing_is_tried_during_a_pause(shortage: Shortage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 60.0)
    sock = Scarce(fileno=socket.create_server(("127.0.0.1", 0)).detach())
    listener = Listener(sock, Greeting, shortage)
    listener.open()
    (caller,) = callers_of(sock, 1)
    await until(lambda: sock.tries)
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert sock.tries == 1, "no busy loop"
    caller.close()
    listener.close()


async def test_the_error_of_a_connection_that_is_gone_keeps_nobody_else_waiting(shortage: Shortage) -> None:
    class Aborted(Scarce):
        def accept(self) -> tuple[socket.socket, object]:
            self.tries += 1
            if self.tries == 1:
                raise ConnectionAbortedError
            return socket.socket.accept(self)

    sock = Aborted(fileno=socket.create_server(("127.0.0.1", 0)).detach())
    listener = Listener(sock, Greeting, shortage)
    listener.open()
    (caller,) = callers_of(sock, 1)
    assert await answer(caller) == b"hello"
    assert shortage.pauses_total == 0
    listener.close()


async def test_the_last_descriptors_are_left_to_others(shortage: Shortage) -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    callers = callers_of(sock, 3)
    allowed = callers[-1].fileno() + 2  # the second connection that is accepted is the last one below it
    listener = Listener(sock, Greeting, shortage, descriptors=allowed)
    held = []

    class Held(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            held.append(transport)

    listener._accept = Held
    listener.open()
    await until(lambda: shortage.pauses_total >= 3)
    accepted = len(held)
    assert accepted < 4
    await asyncio.sleep(0.03)
    assert len(held) == accepted, "nobody is accepted while there is no room"
    for transport in held:
        transport.close()
    for caller in callers:
        caller.close()
    listener.close()


async def test_a_unix_path_is_removed_by_the_one_whose_it_is(shortage: Shortage, tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    stopped = Listener(sock.dup(), Greeting, shortage, borrowed=True)
    stopped.close()
    assert path.exists(), "it was never opened: the predecessor goes on"
    successor = Listener(sock.dup(), Greeting, shortage, borrowed=True)
    listener = Listener(sock, Greeting, shortage)
    listener.open()
    listener.release()
    listener.close()
    assert path.exists(), "it is the successor's"
    successor.open()
    successor.close()
    assert not path.exists()

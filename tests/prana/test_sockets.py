"""Listening sockets, bound or passed."""

import asyncio
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from prana.config.units import Address
from prana.sockets import Bound, Passed, bind, passed_by_systemd


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def address_of(sock: socket.socket) -> Address:
    return Address("127.0.0.1", sock.getsockname()[1])


async def test_a_passed_socket_is_taken_once_by_its_address(listening: socket.socket) -> None:
    passed = Passed([listening])
    assert await bind(address_of(listening), passed) == [Bound(listening, borrowed=True)]
    with pytest.raises(OSError, match="in use"):
        await bind(address_of(listening), passed)


async def test_a_passed_socket_of_another_address_is_closed_with_a_word(listening: socket.socket) -> None:
    passed, port = Passed([listening]), listening.getsockname()[1]
    (bound,) = await bind(Address("127.0.0.1", 0), passed)
    assert not bound.borrowed
    with capture_logs() as logs:
        passed.close_unused()
    assert str(port) in str(logs)
    assert listening.fileno() == -1
    bound.socket.close()


async def test_a_name_is_bound_on_every_address_or_on_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]

        async def both(*_: object, **__: object) -> list[tuple[object, ...]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", port)) for n in (1, 2)]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
        with pytest.raises(OSError, match="in use"):
            await bind(Address("both.example", port), Passed())
        socket.create_server(("127.0.0.1", port)).close()


async def test_the_mode_of_a_unix_socket_is_as_configured(tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    (bound,) = await bind(Address(unix_path=str(path)), Passed(), "0660")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    bound.socket.close()
    (again,) = await bind(Address(unix_path=str(path)), Passed())
    assert stat.S_IMODE(path.stat().st_mode) != 0o660, "what was left behind is replaced"
    again.socket.close()


async def test_a_file_that_is_no_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("text")
    with pytest.raises(OSError, match="in use"):
        await bind(Address(unix_path=str(path)), Passed())
    assert path.read_text() == "text"


@pytest.mark.parametrize(
    "environment", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"}]
)
def test_sockets_for_another_process_are_left_alone(environment: dict[str, str]) -> None:
    passed_by_systemd(environment).close()
    assert environment == {}

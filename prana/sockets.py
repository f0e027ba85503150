"""Listening sockets: bound anew, or those that somebody bound before and passes to us."""

import asyncio
import os
import socket
import stat
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from prana.config.units import Address
from prana.unix_socket import refuse_taken
from prana.wire.listener import BACKLOG

_log = structlog.get_logger()
_FIRST_PASSED = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)


class Passed:
    """Listening sockets that this process was given. Each is taken once, by the address that it is bound to."""

    def __init__(self, sockets: Iterable[socket.socket] = ()) -> None:
        self._sockets = list(sockets)

    def take(self, family: int, name: object) -> socket.socket | None:
        """`name` as getsockname() shows it: a path, or host and port."""
        for sock in self._sockets:
            bound = sock.getsockname()
            if sock.family == family and name == (bound if isinstance(bound, str) else bound[:2]):
                self._sockets.remove(sock)
                return sock
        return None

    def close(self) -> None:
        """Those that nobody took."""
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    def close_unused(self) -> None:
        """When all that are configured are taken: the rest is of an earlier configuration, or a mistake."""
        for sock in self._sockets:
            _log.warning("a listening socket passed to us is not in the configuration", address=sock.getsockname())
        self.close()


def passed_by_systemd(environment: MutableMapping[str, str]) -> Passed:
    """Socket activation, sd_listen_fds(3). Takes the variables away, for they are not meant for our children."""
    pid, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return Passed()
    sockets = []
    for descriptor in range(_FIRST_PASSED, _FIRST_PASSED + int(count)):
        os.set_inheritable(descriptor, False)
        sockets.append(socket.socket(fileno=descriptor))
    return Passed(sockets)


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that listens. `borrowed`: somebody else may still accept from it."""

    socket: socket.socket
    borrowed: bool


async def bind(address: Address, passed: Passed, unix_mode: str = "") -> list[Bound]:
    """One socket for each address that the host name stands for. Raises OSError when one cannot be had."""
    if address.unix_path:
        taken = passed.take(socket.AF_UNIX, address.unix_path)
        return [Bound(taken, True) if taken is not None else Bound(_bind_unix(address.unix_path, unix_mode), False)]
    infos = await asyncio.get_running_loop().getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    bound: list[Bound] = []
    try:
        for family, _, _, _, target in dict.fromkeys(infos):
            taken = passed.take(family, target[:2])
            bound.append(Bound(taken, True) if taken is not None else Bound(_bind_tcp(family, target), False))
    except BaseException:
        for each in bound:
            each.socket.close()
        raise
    return bound


def _bind_tcp(family: int, target: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT are no obstacle
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(target)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_unix(path: str, mode: str) -> socket.socket:
    refuse_taken(path)
    if Path(path).exists() and stat.S_ISSOCK(Path(path).stat().st_mode):
        Path(path).unlink()  # its owner has ended
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        if mode:
            Path(path).chmod(int(mode, 8))  # before anybody can connect
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock

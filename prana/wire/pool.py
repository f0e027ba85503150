"""Connections to instances: opened on demand, reused while warm, counted while they live."""

import asyncio
import errno
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from prana.errors import CertificateRefused, ConnectRefused, ConnectTimeout, Overloaded, ProxyError, TlsFailed
from prana.wire.alarm import Alarm
from prana.wire.answer import StatusLines
from prana.wire.fields import IN_RESPONSES, FieldLines
from prana.wire.limits import UNUSED_IDLE_TIMEOUT_S, UPSTREAM_IDLE_TIMEOUT_S
from prana.wire.resolve import Resolver
from prana.wire.tls import UpstreamTls
from prana.wire.upstream import Link, UpstreamConnection

Address = tuple[str, str, int, UpstreamTls | None]  # host name, IP of the registration, port; None: plain
_LOCAL_SHORTAGE: Final = frozenset([errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL])


class Usage(NamedTuple):
    """Connections to one instance."""

    open: int
    idle: int  # of these, waiting for a request
    largest: int  # the most that were open at once, since none was


class Pool:
    """Idle connections per instance, last used first, so that surplus ones age out.

    `may_dial` is asked for every IP before it is connected to, also for one that a host name resolved to.
    """

    def __init__(
        self, clock: Callable[[], float], may_dial: Callable[[Address, str], bool] = lambda _, ip: True
    ) -> None:
        self._clock = clock
        self._may_dial = may_dial
        self._resolver = Resolver(clock)
        self.lines = FieldLines(IN_RESPONSES)
        self.status_lines = StatusLines()
        self.timeouts: Alarm[UpstreamConnection] = Alarm(clock, UpstreamConnection.expire)
        self._idle: dict[Address, list[UpstreamConnection]] = {}
        self._open: dict[UpstreamConnection, Address] = {}
        self._counts: dict[Address, list[int]] = {}  # of open ones: now, and the most since there was none
        self._links: set[Link] = set()

    def __len__(self) -> int:
        return len(self._open)

    def usage(self, address: Address) -> Usage:
        """The connections to one instance, at this moment."""
        count, largest = self._counts.get(address, (0, 0))
        return Usage(count, len(self._idle.get(address, ())), largest)

    def is_own(self, link: Link) -> bool:
        """True for the other end of a connection of ours: an instance is registered with our own address."""
        return link in self._links

    def idle(self, address: Address, max_idle_s: float) -> UpstreamConnection | None:
        """A warm connection used within `max_idle_s`, or None."""
        now = self._clock()
        connections = self._idle.get(address)
        while connections:
            connection = connections.pop()
            limit_s = min(max_idle_s, connection.idle_timeout_s)
            if not connection.closed and now - connection.idle_since_s < limit_s:
                return connection
            if not connection.closed and now - connection.idle_since_s < connection.idle_timeout_s:
                connections.append(connection)  # still good for a request that may be replayed
                return None
            connection.retire()
        return None

    async def connect(self, address: Address, timeout_s: float) -> UpstreamConnection:
        """A new connection, through TLS where the address says so. Raises ConnectRefused, ConnectTimeout, TlsFailed,
        CertificateRefused or Overloaded; nothing was sent then."""
        host, ip, port, tls = address
        missing = "connection to"
        failure: ProxyError = ConnectRefused(f"{host}: the name resolves to no address that may be called")
        try:
            async with asyncio.timeout(timeout_s):
                for each in await self._resolver.addresses(host, ip, partial(self._may_dial, address)):
                    try:
                        missing = "connection to"
                        connection = await self._dial(address, each)
                        if tls is not None:
                            missing = "TLS handshake with"
                            await tls.secure(connection, host)
                    except (ConnectRefused, TlsFailed, CertificateRefused) as error:
                        failure = error
                        continue
                    self._opened(connection, address)
                    return connection
        except TimeoutError:
            raise ConnectTimeout(f"no {missing} {host}:{port} within {timeout_s:.3g} s") from None
        raise failure

    def _opened(self, connection: UpstreamConnection, address: Address) -> None:
        self._open[connection] = address
        self._links.add(connection.link)
        counts = self._counts.setdefault(address, [0, 0])
        counts[0] += 1
        counts[1] = max(counts)

    async def warm(self, address: Address, timeout_s: float) -> None:
        """A new connection that waits for its first request. Raises as `connect`."""
        connection = await self.connect(address, timeout_s)
        connection.idle_timeout_s = UNUSED_IDLE_TIMEOUT_S
        connection.idle_since_s = self._clock()
        self._idle.setdefault(address, []).append(connection)

    async def _dial(self, address: Address, ip: str) -> UpstreamConnection:
        host, _, port, _ = address
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: UpstreamConnection(self), ip, port
            )
        except OSError as error:
            if error.errno in _LOCAL_SHORTAGE:
                raise Overloaded(f"Prana is out of local resources: {error.strerror}") from None
            raise ConnectRefused(f"{host}:{port}: {error.strerror or error}") from None
        if connection.closed:  # and reported lost already, perhaps
            raise ConnectRefused(f"{host}:{port}: closed at once")
        return connection

    # what a connection needs (prana.wire.upstream.Home)

    def done(self, connection: UpstreamConnection, reusable: bool) -> None:
        if not reusable:
            return
        connection.idle_timeout_s = idle_timeout_s(connection.announced_keep_alive)
        if connection.idle_timeout_s > 0:
            connection.idle_since_s = self._clock()
            self._idle.setdefault(self._open[connection], []).append(connection)
        else:
            connection.retire()

    def lost(self, connection: UpstreamConnection) -> None:
        self._links.discard(connection.link)
        address = self._open.pop(connection, None)
        if address is None:
            return
        idle = self._idle.get(address)
        if idle and connection in idle:
            idle.remove(connection)
        counts = self._counts[address]
        counts[0] -= 1
        if not counts[0]:
            del self._counts[address]

    def sweep(self) -> None:
        """Close what has been idle too long."""
        now = self._clock()
        for address, connections in list(self._idle.items()):
            for connection in [c for c in connections if now - c.idle_since_s >= c.idle_timeout_s]:
                connections.remove(connection)
                connection.retire()
            if not connections:
                del self._idle[address]

    def forget(self, address: Address) -> None:
        """The instance is gone: close its idle connections; what is in flight may finish."""
        for connection in self._idle.pop(address, ()):
            connection.retire()

    def drop_idle(self) -> None:
        """Close every idle connection: file descriptors are short."""
        for address in list(self._idle):
            self.forget(address)

    async def close(self) -> None:
        for connection in list(self._open):
            connection.close()
        self.timeouts.close()
        await self._resolver.close()


def idle_timeout_s(keep_alive: bytes) -> float:
    """How long a connection may idle: our limit, or less where the server announced its own in Keep-Alive, of whose
    time a second is left to it, or half of it. Not at all when it announced that this was the last answer."""
    if not keep_alive:
        return UPSTREAM_IDLE_TIMEOUT_S
    announced = dict.fromkeys([b"timeout", b"max"], -1)
    for part in keep_alive.lower().split(b","):
        name, _, value = part.strip().partition(b"=")
        if name in announced and value.isdigit():
            announced[name] = int(value[:9])  # more digits than that are as good as for ever
    timeout_s = announced[b"timeout"]
    if announced[b"max"] == 0 or timeout_s == 0:
        return 0.0
    return min(UPSTREAM_IDLE_TIMEOUT_S, max(timeout_s - 1, timeout_s / 2)) if timeout_s > 0 else UPSTREAM_IDLE_TIMEOUT_S

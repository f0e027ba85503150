"""TLS to instances: the handshake on a new connection.

Sessions are not resumed, for asyncio's TLS has no way to; connections are pooled instead.
"""

import asyncio
import ssl
from collections.abc import Mapping

from prana.config.settings import Settings, Tls
from prana.startup import StartupError
from prana.tls import TlsProblem, upstream_context
from prana.wire.limits import BODY_HIGH_WATER_BYTES, TLS_GOODBYE_S
from prana.wire.tls_failure import tls_failure
from prana.wire.upstream import UpstreamConnection


class UpstreamTls:
    """How instances of all services with these settings are called. Part of an address in the pool, so that
    connections of different settings, or without TLS, are never taken for each other."""

    def __init__(self, settings: Tls) -> None:
        """Reads the files that are named; raises TlsProblem. Renewed files need a restart or reload."""
        self._settings = settings
        self._context = self._load() if settings.files else None

    def _load(self) -> ssl.SSLContext:
        tls = self._settings
        return upstream_context(tls.ca_file, tls.cert_file, tls.key_file, verify=tls.verify)

    async def secure(self, connection: UpstreamConnection, host: str) -> None:
        """The handshake with the instance `host`, a name or IP address, before anything is sent. Raises ProxyError,
        and the connection is closed then, as when it is cancelled."""
        name = self._settings.server_name or host.rstrip(".")  # RFC 6066 section 3: without the trailing dot
        try:
            if self._context is None:
                self._context = await asyncio.to_thread(self._load)
            await _handshake(connection, self._context, name)
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError | UnicodeError):
                raise tls_failure(error, host, name, sent=False) from None
            raise


def tls_of_services(settings: Settings) -> Mapping[Tls, UpstreamTls]:
    """One for all services of equal settings. Raises StartupError."""
    places = {"defaults": settings.defaults.tls}
    places |= {f"services.{name}": policy.tls for name, policy in settings.services.items()}
    made: dict[Tls, UpstreamTls] = {}
    for place, tls in places.items():
        try:
            made[tls] = made.get(tls) or UpstreamTls(tls)
        except TlsProblem as problem:
            raise StartupError(f"{place}.tls.{problem.key}: {problem}") from None
    return made


class _Listener(asyncio.Protocol):
    """Hears what comes behind the handshake, in the turn of the loop in which that ends.

    A message there answers nothing that we asked, so it must not meet a connection that has asked since. An alert
    there is the server's opinion of our certificate, which in TLS 1.3 comes late.
    """

    def __init__(self) -> None:
        self.spoken_to = False
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.spoken_to = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


async def _handshake(connection: UpstreamConnection, context: ssl.SSLContext, name: str) -> None:
    name.encode("idna")  # as the library will: it would report the UnicodeError to the loop, too
    listener = _Listener()
    transport = await asyncio.get_running_loop().start_tls(
        connection.transport, listener, context, server_hostname=name, ssl_shutdown_timeout=TLS_GOODBYE_S
    )
    assert transport is not None  # noqa: S101 - typeshed's None is for a closed loop
    await asyncio.sleep(0)
    if listener.spoken_to:
        raise ConnectionAbortedError("it sent something before it was asked")
    if transport.is_closing():
        raise await listener.lost or ConnectionResetError("closed")
    transport.set_write_buffer_limits(BODY_HIGH_WATER_BYTES)
    _end_only_after_the_last_byte(transport)
    transport.set_protocol(connection)
    connection.connection_made(transport)


def _end_only_after_the_last_byte(transport: asyncio.Transport) -> None:
    """uvloop reads on below a paused transport until 256 KiB lie there, and drops them when it then meets the end of
    the stream. With this it stops reading as soon as something lies there."""
    transport.set_read_buffer_limits(1, 0)  # type: ignore[attr-defined] # uvloop's, and asyncio's own

"""Under which name and address others reach this machine."""

import asyncio
import errno
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def hostname() -> str:
    """The machine's own name, not resolved. In a container it may be known to nobody else."""
    return socket.gethostname()


async def route_address(urls: Sequence[str]) -> str | None:
    """The local address of the route towards the first reachable of `urls`; None without any.

    Right on a machine with several addresses, where the address of the host name need not be. Nothing is
    sent, but host names are resolved, which may take long.
    """
    for url in urls:
        parts = urlsplit(url)
        if parts.hostname is None:
            continue
        address = await _local_address(parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme, 80))
        if address is not None:
            return address
    return None


def is_own_address(ip: str) -> bool:
    """Whether an IP literal is an address of this machine: only those can be bound. Nothing is sent."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((ip, 0))
    except OSError as error:
        # Without a descriptor to ask with, the careful answer is yes.
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return True


async def _local_address(host: str, port: int) -> str | None:
    try:
        candidates = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return None
    # IPv4 first: "localhost" is often ::1 before 127.0.0.1 while apps listen on the latter, and readers of
    # ipAddr expect IPv4 where there is one.
    for family, kind, protocol, _, target in sorted(candidates, key=lambda found: found[0] != socket.AF_INET):
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(target)  # UDP: chooses the route, sends nothing
                return str(probe.getsockname()[0]).partition("%")[0]
        except OSError:  # also a kernel without this family
            continue
    return None

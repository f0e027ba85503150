"""Instances named in the configuration: a service that needs no registry."""

import ipaddress
import re
from collections.abc import Sequence

from registry.instance import Instance

_ADDRESS = re.compile(
    r"(?P<secure>https://)?(?:\[(?P<ipv6>[^]]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})", re.ASCII
)
_ALLOWED = (
    "allowed: host:port, 1.2.3.4:port or [ipv6]:port, with a port from 1 to 65535, and https:// before it for TLS"
)


def static_instances(service: str, addresses: Sequence[str], *, secure: bool = False) -> tuple[Instance, ...]:
    """One UP instance per address, in order; the address is its id. `secure` is as if each began with https://.

    A host name stays one in `ip` too: it is resolved when it is connected to. Raises ValueError that says
    which address is wrong and what is allowed.
    """
    for index, address in enumerate(addresses):
        if address in addresses[:index]:
            raise ValueError(f"{address!r} is listed more than once; allowed: each instance once")
    return tuple(_instance(service, address, secure) for address in addresses)


def _instance(service: str, address: str, secure: bool) -> Instance:
    match = _ADDRESS.fullmatch(address)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        raise ValueError(f"{address!r} is no instance address; {_ALLOWED}")
    host, port = _host(match, address), int(match["port"])
    tls = secure or match["secure"] is not None
    return Instance(
        app=service.upper(),
        id=address,
        host=host,
        ip=host,
        port=port,
        vips=(service.lower(),),
        secure_port=port if tls else 0,
        secure=tls,
    )


def _host(match: re.Match[str], address: str) -> str:
    if match["host"] is not None:
        return match["host"]
    try:
        ipaddress.IPv6Address(match["ipv6"])
    except ValueError as error:
        raise ValueError(f"{address!r} is no instance address: {error}; {_ALLOWED}") from None
    return match["ipv6"]

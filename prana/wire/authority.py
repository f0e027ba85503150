"""Hosts and ports as messages name them, and by which of them callers may call us in an absolute request target: we are
a gateway, no forward proxy."""

import ipaddress
import re
import socket
from typing import Final

_PORT: Final = rb"(?::(?:[0-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])?)?"
_NAME: Final = rb"[A-Za-z0-9._~!$&'()*+,;=-]"
_HOST: Final = re.compile(rb"(?:%b|%%[0-9A-Fa-f]{2})+%b" % (_NAME, _PORT))
_IPV6_HOST: Final = re.compile(rb"\[([0-9A-Fa-f:.]+)\]%b" % _PORT)


def valid_host(value: bytes) -> bool:
    """RFC 9112 section 3.2: uri-host with an optional port, no userinfo, and not empty."""
    return _HOST.fullmatch(value) is not None or _valid_ipv6_host(value)


def _valid_ipv6_host(value: bytes) -> bool:
    match = _IPV6_HOST.fullmatch(value)
    try:
        return match is not None and bool(ipaddress.IPv6Address(match[1].decode()))
    except ValueError:
        return False


def is_own(host_and_port: bytes, local_ip: str) -> bool:
    """Whether a valid `host[:port]` names this machine.

    `local_ip` is the address the call came in on, "" over a Unix socket. Any port will do: ports are mapped between
    a caller and a container, and callers on port 80 of such a map name none.
    """
    name = host_and_port.decode("ascii").lower()
    host = name[1 : name.index("]")] if name.startswith("[") else name.partition(":")[0]
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        # Our own name with any domain: which one is ours the DNS would have to say, and this must not wait for it.
        own, _, _ = socket.gethostname().lower().partition(".")
        return host.rstrip(".") == "localhost" or host.partition(".")[0] == own
    return ip.is_loopback or host == local_ip.removeprefix("::ffff:")

"""What callers may call us by in an absolute request target: we are a gateway, no forward proxy."""

import ipaddress
import socket


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

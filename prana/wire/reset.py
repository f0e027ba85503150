"""An end that the other side can see is none it should trust."""

import asyncio
import socket
import struct
from typing import Final

_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST


def reset(transport: asyncio.Transport) -> None:
    """Close with RST instead of FIN: what was cut short must not look complete (RFC 9112 section 8)."""
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()

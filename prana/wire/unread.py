"""How much of what we wrote the other side has not taken."""

import asyncio
import fcntl
import struct
import sys
import termios
from typing import Final

_QUEUED: Final = struct.Struct("i")


def unread_bytes(transport: asyncio.WriteTransport) -> int:
    """Bytes in the loop's buffer and in the kernel's.

    The kernel calls a socket writable only when a third of its buffer, megabytes on a loopback, is free: for minutes
    a slow but steady reader looks like one that has stopped.
    """
    sock = transport.get_extra_info("socket")
    kernels = 0
    if sock is not None and sys.platform == "linux":  # SIOCOUTQ, see tcp(7), has the number of TIOCOUTQ there
        (kernels,) = _QUEUED.unpack(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(_QUEUED.size)))
    return transport.get_write_buffer_size() + kernels

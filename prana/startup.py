"""What keeps a command from starting, said in one line that tells what to change."""

import errno
import os
import socket
from collections.abc import Awaitable
from typing import TypeVar

_Opened = TypeVar("_Opened")


class StartupError(Exception):
    """Could not start; the text is for the user. The command line prints it and exits with 1."""


def cannot_listen(address: str, flag: str, error: OSError) -> StartupError:
    """The one line for an address that cannot be listened on; `flag` is what changes it."""
    unix = address.startswith("unix:")
    match error.errno:
        case errno.EADDRINUSE:
            taken = f"{address} is taken" if unix else f"port {address.rpartition(':')[2]} is taken ({address})"
            return StartupError(f"{taken}; stop what listens there, or choose another with {flag}")
        case errno.EADDRNOTAVAIL:
            return StartupError(f"{address} is no address of this machine; choose another with {flag}")
        case errno.EACCES if not unix:
            return StartupError(f"not allowed to listen on {address}; choose a port above 1023 with {flag}")
        case code:
            # The text of asyncio's own OSError repeats the address; the plain one does not. A failed look-up has
            # codes of its own.
            if code is None or isinstance(error, socket.gaierror):
                reason = error.strerror or str(error)
            else:
                reason = os.strerror(code)
            return StartupError(f"cannot listen on {address}: {reason}; choose another with {flag}")


async def listening(opening: Awaitable[_Opened], address: str, flag: str) -> _Opened:
    """What `opening` gives; its OSError becomes the StartupError of `cannot_listen`."""
    try:
        return await opening
    except OSError as error:
        raise cannot_listen(address, flag, error) from None

"""Whose a Unix socket's path is: a process that has ended leaves its socket behind, one that lives answers on it."""

import errno
import os
import socket
from pathlib import Path


def refuse_taken(path: str) -> None:
    """Raises OSError with EADDRINUSE when somebody listens there; a leftover, or nothing, is free."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return
        except BlockingIOError:
            pass  # its backlog is full, so somebody is there
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


class BoundPath:
    """The path of a socket that was just bound. Another process may have put its own there by the time we leave."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._ours = self._identity()

    def unlink(self) -> None:
        """Remove the path if it is still that of our socket."""
        try:
            if self._identity() == self._ours:
                self._path.unlink()
        except FileNotFoundError:
            pass  # somebody tidied up

    def _identity(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_dev, status.st_ino

"""A listening socket: accepts while there are descriptors for it, and leaves without losing who waits there.

Not `loop.create_server`: when accept fails for want of descriptors, libuv closes the connections that wait
(uv__emfile_trick), and uvloop then closes the listening socket without a word. Its price is 25 us per connection.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import Final

from prana.unix_socket import BoundPath
from prana.wire.descriptors import Shortage

BACKLOG: Final = 1024
_BATCH: Final = 64  # accepted at once, before others have their turn on the loop
_PAUSE_S: Final = 0.1
_SHORT: Final = frozenset([errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])

Accept = Callable[[], asyncio.BaseProtocol]


class Listener:
    """Owns a bound and listening socket, from `open` until `close` or `release`."""

    def __init__(
        self,
        sock: socket.socket,
        accept: Accept,
        shortage: Shortage,
        *,
        descriptors: int | None = None,
        borrowed: bool = False,
    ) -> None:
        """`accept` makes the protocol of a connection as soon as that is accepted. Of the process's descriptors, those
        numbered from `descriptors` on are left to others. `borrowed`: somebody else's until `open`."""
        sock.setblocking(False)
        self.socket = sock
        self._accept = accept
        self._shortage = shortage
        self._descriptors = descriptors
        self._borrowed = borrowed
        self._path = BoundPath(sock.getsockname()) if sock.family == socket.AF_UNIX else None
        self._arriving: set[asyncio.Task[object]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._open = False

    @property
    def address(self) -> str:
        """As bound: `host:port` or `unix:path`."""
        name = self.socket.getsockname()
        return f"unix:{name}" if isinstance(name, str) else f"{name[0]}:{name[1]}"

    @property
    def port(self) -> int:
        """As bound, also when 0 was asked for; 0 for a Unix socket."""
        name = self.socket.getsockname()
        return 0 if isinstance(name, str) else int(name[1])

    def open(self) -> None:
        """Accept from now on; what came before waits in the backlog."""
        self._open, self._borrowed = True, False
        asyncio.get_running_loop().add_reader(self.socket, self._accept_some)

    def close(self) -> None:
        """Accept who waits, then listen no more: closing a listening socket resets its backlog."""
        if self._path is not None and not self._borrowed:
            self._path.unlink()
        if self._open:
            self._stop()
            for _ in range(BACKLOG // _BATCH):
                if not self._accept_some():
                    break
            self._stop()  # descriptors may have run short meanwhile
        self.socket.close()

    def release(self) -> None:
        """Leave the socket, and who waits there, to another process that has it too."""
        self._borrowed = True
        if self._open:
            self._stop()
        self.socket.close()

    def _stop(self) -> None:
        self._open = False
        asyncio.get_running_loop().remove_reader(self.socket)
        if self._again is not None:
            self._again.cancel()

    def _accept_some(self) -> bool:
        """True when more may wait."""
        for _ in range(_BATCH):
            try:
                sock, _ = self.socket.accept()
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                if error.errno in _SHORT:
                    self._pause()
                    return False
                continue  # the error of a connection that has ended already, see accept(2)
            self._welcome(sock)
            # The kernel gives the lowest free number, so this one says that all below it are taken.
            if self._descriptors is not None and sock.fileno() >= self._descriptors:
                self._pause()
                return False
        return True

    def _welcome(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        protocol, loop = self._accept(), asyncio.get_running_loop()
        task: asyncio.Task[object] = loop.create_task(loop.connect_accepted_socket(lambda: protocol, sock))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.socket)
        self._shortage.noted()
        self._again = loop.call_later(_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        if self._has_room():
            asyncio.get_running_loop().add_reader(self.socket, self._accept_some)
        else:
            self._pause()

    def _has_room(self) -> bool:
        try:
            lowest_free = os.dup(self.socket.fileno())
        except OSError:
            return False
        os.close(lowest_free)
        return self._descriptors is None or lowest_free < self._descriptors

"""Everything that listens for callers: bound, opened, and closed or left to a successor."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import structlog

from prana.config.units import Address
from prana.handover import HandOver, Identity, Predecessor
from prana.sockets import Passed, bind
from prana.wire.descriptors import Shortage
from prana.wire.listener import Accept, Listener

_log = structlog.get_logger()

_READY_WITHIN_S: Final = 30.0  # a successor that is not ready by then takes over all the same
_LOOK_S: Final = 0.05


class Ports:
    """First `bind`, then `open`; behind a predecessor `take_over` instead, which waits for it to let go."""

    def __init__(self, passed: Passed, predecessor: Predecessor | None, shortage: Shortage) -> None:
        """`passed`: listening sockets that this process was given. A `predecessor` passes its own."""
        self.in_charge = asyncio.Event()  # of the ports and the registrations
        self.replaced = False
        self.predecessor = predecessor
        self._passed = predecessor.passed if predecessor is not None else passed
        self._shortage = shortage
        self._listeners: list[Listener] = []
        self._hand_over: HandOver | None = None
        self._offering: asyncio.Task[object] | None = None

    async def bind(
        self, address: Address, accept: Accept, unix_mode: str = "", *, descriptors: int | None = None
    ) -> list[Listener]:
        """As `prana.sockets.bind` and `Listener`."""
        bound = await bind(address, self._passed, unix_mode)
        listeners = [
            Listener(each.socket, accept, self._shortage, descriptors=descriptors, borrowed=each.borrowed)
            for each in bound
        ]
        self._listeners += listeners
        return listeners

    async def offer(self, address: Address, leave: Callable[[Collection[Identity]], Awaitable[None]]) -> None:
        """Let a successor come to this Unix socket; `leave` gives up the registrations that it keeps. Raises OSError.

        The socket is for our own user only: who can connect gets our ports.
        """

        async def release(keeps: Collection[Identity]) -> None:
            _log.info("replaced", registrations_kept=len(keeps))
            self.replaced = True
            self._release()
            await leave(keeps)

        (bound,) = await bind(address, self._passed, "0600")
        self._hand_over = HandOver(bound.socket, self._offered, release, borrowed=bound.borrowed)

    def open(self) -> None:
        """When everything that is configured is bound: accept from now on."""
        self._passed.close_unused()
        for listener in self._listeners:
            listener.open()
        self.in_charge.set()

    async def take_over(self, predecessor: Predecessor, ready: Callable[[], bool], keeps: Collection[Identity]) -> None:
        """Be ready first, so that no caller waits and no registration changes; then open the ports."""
        if not await until(lambda: ready() or predecessor.gone, _READY_WITHIN_S):
            _log.warning("taking over although not everything is ready", waited_s=_READY_WITHIN_S)
        await predecessor.replace(keeps)
        self.open()

    async def until_replaced(self) -> None:
        """Serves successors, until one has taken over."""
        await self.in_charge.wait()
        if self._hand_over is None:
            await asyncio.Event().wait()
        else:
            self._offering = asyncio.current_task()
            await self._hand_over.run()

    def stop_offering(self) -> None:
        """No successor can take over any more. One that is starting has the ports for itself, and is told."""
        if self._hand_over is not None and not self.replaced:
            if self._offering is not None:
                self._offering.cancel()
            if self._hand_over.successor_starts:
                self._release()
            self._hand_over.close()

    def close(self) -> None:
        """Close what is open, having accepted who waits. Idempotent."""
        self.stop_offering()
        if self._hand_over is not None:
            self._hand_over.close()
        for listener in self._listeners:
            listener.close()
        if self.predecessor is not None:
            self.predecessor.close()
        self._passed.close()

    def _offered(self) -> list[socket.socket]:
        return [listener.socket for listener in self._listeners]

    def _release(self) -> None:
        for listener in self._listeners:
            listener.release()


async def until(condition: Callable[[], bool], within_s: float) -> bool:
    """Whether it came true in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - no single event tells
                await asyncio.sleep(_LOOK_S)
    return condition()

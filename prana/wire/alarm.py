"""One timer for the deadlines of many."""

import asyncio
from collections.abc import Callable, Hashable
from math import inf
from typing import Final, Generic, TypeVar

_GRAIN_S: Final = 0.01

Item = TypeVar("Item", bound=Hashable)


class Alarm(Generic[Item]):
    """Calls `ring(item)` when the time of an item has come.

    A timer of the loop for each request costs 1.5 us to set and clear, and nearly none of them ever runs. Here the one
    timer is set anew only for an item that is due earlier than the one it waits for, which is rare: timeouts of one
    length come in the order of their beginnings. Items ring up to `_GRAIN_S` late, so that thousands of them due one
    after the other are not looked through each time.
    """

    def __init__(self, clock: Callable[[], float], ring: Callable[[Item], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._due_s: dict[Item, float] = {}
        self._next_s = inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, item: Item, after_s: float) -> None:
        """It replaces an earlier one of the item."""
        due_s = self._clock() + after_s
        self._due_s[item] = due_s
        if due_s < self._next_s:
            self._wait_until(due_s)

    def clear(self, item: Item) -> None:
        """Nothing, if it is not set."""
        self._due_s.pop(item, None)

    def close(self) -> None:
        self._due_s.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _wait_until(self, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next_s = due_s
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due_s - self._clock()), self._look)

    def _look(self) -> None:
        now_s = self._clock()
        due = [item for item, due_s in self._due_s.items() if due_s <= now_s]
        self._timer, self._next_s = None, inf
        if self._due_s:  # those that are due now among them, for one that fails must not silence the others
            self._wait_until(max(min(self._due_s.values()), now_s + _GRAIN_S))
        for item in due:
            if self._due_s.pop(item, None) is not None:  # else one that rang before cleared it
                self._ring(item)

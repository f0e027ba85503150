"""Answers rendered once for many readers.

Source: Netflix eureka `ResponseCacheImpl`, with its read-write and its read-only level. Unlike there, the first level
is emptied by every change, so that no entry of it is ever stale but for the times of heartbeats.
"""

import gzip
from collections.abc import Callable
from functools import cached_property
from typing import Generic, TypeVar

MAX_KEYS = 1000
FRESH_FOR_MS = 5_000  # Java: 180 s; shorter, because people look for their last heartbeat here

_Key = TypeVar("_Key")
_Entry = TypeVar("_Entry")


class Payload:
    """One rendered answer; compressed when first asked for so."""

    def __init__(self, plain: bytes) -> None:
        self.plain = plain

    @cached_property
    def gzipped(self) -> bytes:
        return gzip.compress(self.plain, compresslevel=1, mtime=0)


class ResponseCache(Generic[_Key]):
    """`render` gives the answer for a key, None where there is nothing of that name; `revision` differs after a change.

    With `lagging`, an answer stays as it is until the next `refresh`, whatever changes in between.
    """

    def __init__(
        self,
        render: Callable[[_Key], bytes | None],
        revision: Callable[[], int],
        clock_ms: Callable[[], int],
        *,
        lagging: bool = False,
    ) -> None:
        self._render = render
        self._revision = revision
        self._clock_ms = clock_ms
        self._lagging = lagging
        self._rendered: dict[_Key, tuple[Payload | None, int]] = {}  # with the time; all of one revision
        self._rendered_revision = -1
        self._shown: dict[_Key, Payload | None] = {}  # the read-only level

    def get(self, key: _Key) -> Payload | None:
        if not self._lagging:
            return self._current(key)
        if key not in self._shown:
            _bound(self._shown)
            self._shown[key] = self._current(key)
        return self._shown[key]

    def refresh(self) -> None:
        """Brings every lagging answer up to date."""
        self._shown = {key: self._current(key) for key in self._shown}

    def _current(self, key: _Key) -> Payload | None:
        revision, now_ms = self._revision(), self._clock_ms()
        if revision != self._rendered_revision:
            self._rendered.clear()
            self._rendered_revision = revision
        payload, rendered_ms = self._rendered.get(key, (None, -FRESH_FOR_MS))
        if rendered_ms + FRESH_FOR_MS <= now_ms:
            plain = self._render(key)
            payload = None if plain is None else Payload(plain)
            _bound(self._rendered)
            self._rendered[key] = payload, now_ms
        return payload


def _bound(entries: dict[_Key, _Entry]) -> None:
    """Makes room for one more by dropping the oldest: readers may ask for names without end."""
    while len(entries) >= MAX_KEYS:
        del entries[next(iter(entries))]

"""The latest good answers of a command, bounded in bytes and age. Pure."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from prana.kept import Kept
from prana.sharing import Selecting, selecting, varying
from prana.wire.fields import Headers

_MAX_VARIANTS: Final = 16  # of one URI; the oldest makes room


class AnswerStore:
    """By URI, and of each by the headers that its answers vary with. What was stored first goes first."""

    def __init__(self, max_bytes: int, max_age_s: float, clock: Callable[[], float]) -> None:
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock = clock
        self._by_uri: dict[bytes, list[_Entry]] = {}  # the oldest first, here and below
        self._by_time: OrderedDict[_Entry, None] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._by_time)

    def put(self, uri: bytes, request: Headers, kept: Kept, age_s: float = 0.0) -> None:
        """The answer to a request with these headers, instead of an earlier one. It was `age_s` old when it came."""
        entry = _Entry(uri, selecting(varying(kept.headers), request), kept, self._clock() - age_s)
        if entry.size_bytes > self._max_bytes or age_s > self._max_age_s:
            return
        for earlier in tuple(self._by_uri.get(uri, ())):
            if earlier.selecting == entry.selecting or earlier.answers(request):
                self._drop(earlier)
        variants = self._by_uri.setdefault(uri, [])
        if len(variants) >= _MAX_VARIANTS:
            self._drop(variants[0])
        variants.append(entry)
        self._by_time[entry] = None
        self.size_bytes += entry.size_bytes
        while self.size_bytes > self._max_bytes:
            self._drop(next(iter(self._by_time)))

    def forget(self, uri: bytes) -> None:
        """Whatever was answered there."""
        for entry in tuple(self._by_uri.get(uri, ())):
            self._drop(entry)

    def find(self, uri: bytes, request: Headers) -> tuple[Kept, float] | None:
        """The latest answer to such a request, and its age in seconds."""
        for entry in reversed(self._by_uri.get(uri, ())):
            if entry.answers(request):
                age_s = self._clock() - entry.made_s
                if age_s <= self._max_age_s:
                    return entry.kept, age_s
                self._drop(entry)
                return None
        return None

    def _drop(self, entry: "_Entry") -> None:
        del self._by_time[entry]
        self.size_bytes -= entry.size_bytes
        variants = self._by_uri[entry.uri]
        variants.remove(entry)
        if not variants:
            del self._by_uri[entry.uri]


class _Entry:
    __slots__ = ("kept", "made_s", "selecting", "size_bytes", "uri")

    def __init__(self, uri: bytes, chosen_by: Selecting, kept: Kept, made_s: float) -> None:
        self.uri = uri
        self.selecting = chosen_by
        self.kept = kept
        self.made_s = made_s
        self.size_bytes = kept.size_bytes + len(uri)
        for name, values in chosen_by:
            self.size_bytes += len(name) + sum(map(len, values))

    def answers(self, request: Headers) -> bool:
        return selecting([name for name, _ in self.selecting], request) == self.selecting

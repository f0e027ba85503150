"""Which Eureka server to ask next.

Those of our own zone come before all others, each group in random order, so that a fleet of sidecars spreads over the
servers (Java: ZoneAffinityClusterResolver). The one that answered is kept (RetryableEurekaHttpClient), for a while
(SessionedEurekaHttpClient).
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from random import Random

from registry.server_url import Server

_MAX_TRIES = 3
_QUARANTINE_RATIO = 0.66
_SESSION_S = 20 * 60.0  # times 0.5 to 1.5, so that a fleet does not move all at once


class Servers:
    """The order of tries. Tell it what became of each; the lists may be replaced at any time."""

    def __init__(self, clock: Callable[[], float], rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._own: list[Server] = []
        self._others: list[Server] = []
        self._quarantine: set[Server] = set()
        self._failures = itertools.count(1)
        self._failed_last: dict[Server, int] = {}  # which of the failures was its last one
        self._kept: Server | None = None
        self._session_ends_s = 0.0

    @classmethod
    def of(cls, urls: Iterable[str], clock: Callable[[], float], rng: Random) -> "Servers":
        """Equal ones. Raises ValueError, without credentials in it, for an unusable URL."""
        servers = cls(clock, rng)
        servers.replace([], [Server.parse(url) for url in urls])
        return servers

    def __iter__(self) -> Iterator[Server]:
        """All of them, own zone first."""
        return iter((*self._own, *self._others))

    def replace(self, own_zone: Collection[Server], others: Collection[Server]) -> None:
        """Ask these from now on. The one that is asked now is kept if it is among them."""
        own = dict.fromkeys(own_zone)
        rest = {server: None for server in others if server not in own}
        if own.keys() == set(self._own) and rest.keys() == set(self._others):
            return
        self._own, self._others = list(own), list(rest)
        self._shuffle()
        self._quarantine.intersection_update(self)
        if self._kept not in (*own, *rest):
            self._kept = None

    def tries(self) -> Iterator[Server]:
        """The servers for one call, at most three, each once. Say `failed` or `answered` before the next is taken."""
        if self._kept is not None and self._clock() >= self._session_ends_s:
            self._kept = None
            self._shuffle()
        tried: list[Server] = []
        while len(tried) < _MAX_TRIES:
            server = self._kept if self._kept not in (None, *tried) else self._candidate(tried)
            if server is None:
                return
            tried.append(server)
            yield server

    def answered(self, server: Server) -> None:
        """It gave a usable answer: it is asked first until its session ends."""
        if server not in list(self):
            return  # replaced while it was asked
        self._quarantine.discard(server)
        self._failed_last.pop(server, None)
        if self._kept != server:
            self._kept = server
            self._session_ends_s = self._clock() + _SESSION_S * self._rng.uniform(0.5, 1.5)

    def failed(self, server: Server) -> None:
        """It did not: others are asked before it."""
        if server not in list(self):
            return
        self._quarantine.add(server)
        self._failed_last[server] = next(self._failures)
        if self._kept == server:
            self._kept = None

    def _candidate(self, tried: Collection[Server]) -> Server | None:
        # With that many gone the fault is rather ours than theirs (RetryableEurekaHttpClient.getHostCandidates).
        # There they are then asked in the old order, so that a fourth server never gets a turn while the first
        # three are dead; here the one whose failure is the longest ago comes first.
        if len(self._quarantine) >= int(_QUARANTINE_RATIO * len(list(self))):
            self._quarantine.clear()
        free = (server for server in self if server not in tried and server not in self._quarantine)
        return min(free, key=lambda server: self._failed_last.get(server, 0), default=None)

    def _shuffle(self) -> None:
        self._failed_last.clear()
        self._rng.shuffle(self._own)
        self._rng.shuffle(self._others)

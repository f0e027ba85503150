"""Which of a service's routes takes a request: the first one written that does."""

import re
from collections.abc import Iterable
from typing import Final, Generic, TypeVar

from prana.config.matching import below
from prana.config.settings import RoutePolicy

MAX_PATTERN_PATH_BYTES: Final = 1024
"""A longer path matches no pattern: even one that is no trap takes time that grows with the square of the length."""

Target = TypeVar("Target")


class Routes(Generic[Target]):
    """Targets by what their routes match, in the order in which they are tried."""

    def __init__(self, routes: Iterable[tuple[RoutePolicy, Target]]) -> None:
        self._entries = [
            (
                frozenset(method.encode() for method in match.methods),
                below(match.prefix).encode(),
                re.compile(match.pattern.encode()).fullmatch if match.pattern else None,
                target,
            )
            for match, target in routes
        ]

    @property
    def targets(self) -> list[Target]:
        return [target for *_, target in self._entries]

    def first(self, method: bytes, target: bytes) -> Target | None:
        """Of the routes that take this method and path, the first; None when none does. The path is compared as it
        is sent, byte for byte, without its query: nothing is decoded or resolved, for an instance may not either."""
        path = target.partition(b"?")[0]
        inside = path + b"/"  # with a slash at the end of both, a prefix ends where a segment does
        for methods, prefix, fullmatch, found in self._entries:
            if (
                (not methods or method in methods)
                and inside.startswith(prefix)
                and (fullmatch is None or (len(path) <= MAX_PATTERN_PATH_BYTES and fullmatch(path)))
            ):
                return found
        return None

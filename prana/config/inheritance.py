"""From where a key takes its value when it is not written."""

from collections.abc import Iterator

from prana.config.positions import Path


def inheritance(path: Path) -> Iterator[Path]:
    """The path itself, then those whose values stand in for it: a route's key that of its service, and a service's
    that of the defaults."""
    yield path
    if path[:1] == ("services",):
        if path[2:3] == ("routes",):
            indexed = len(path) > 3 and isinstance(path[3], int)  # a single one may stand there without
            path = (*path[:2], *path[4 if indexed else 3 :])
            yield path
        yield ("defaults", *path[2:])

"""What every kind of fallback looks like to the stage that walks the chain."""

from enum import StrEnum
from typing import Protocol

from prana.request import Request, Response


class Kind(StrEnum):
    """As `X-Prana-Fallback`, the metrics and the access log name it."""

    SERVICE = "service"
    LAST_GOOD = "last_good"
    FILE = "file"
    STATIC = "static"


class Substitute(Protocol):
    """One step of a chain."""

    @property
    def kind(self) -> Kind: ...

    async def __call__(self, request: Request) -> Response | None:
        """Its answer, without the headers that tell of a fallback; None when it has none to this request. Raises
        ProxyError only for what the caller has caused, which ends the walk."""

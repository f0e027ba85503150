"""Addresses of an instance: its IP literal as it is, its host name through a small cache."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from prana.config.units import is_ip

_FRESH_S: Final = 30.0
_MAX_NAMES: Final = 4096


class Resolver:
    """Looks names up off the loop, keeps the last good answer while the DNS fails, and remembers failures briefly.

    Names come only from the registry or the configuration, never from a caller.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, list[str]]] = {}

    async def addresses(self, host: str, ip: str, permitted: Callable[[str], bool] = lambda _: True) -> list[str]:
        """What to dial, in order. Eureka's `hostName` is the address an instance wants to be called by (Spring puts
        the IP there when told to prefer it); `ipAddr` is the fallback when that name does not resolve here, or only
        to what is not `permitted`. Dial these and not the name: it may resolve to something else the next time."""
        if is_ip(host):
            return [host] if permitted(host) else []
        found = [each for each in await self._lookup(host) if permitted(each)]
        return found or ([ip] if is_ip(ip) and permitted(ip) else [])

    async def _lookup(self, host: str) -> list[str]:
        now = self._clock()
        known = self._known.get(host)
        if known is not None and now < known[0]:
            return known[1]
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(info[4][0]) for info in infos))
        except (OSError, UnicodeError):
            found = known[1] if known is not None else []
        if len(self._known) >= _MAX_NAMES:
            self._known.clear()
        self._known[host] = (now + _FRESH_S, found)
        return found

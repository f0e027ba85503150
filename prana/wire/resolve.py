"""Addresses of an instance: its IP literal as it is, its host name through a small cache."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prana.config.units import is_ip

_FRESH_S: Final = 30.0
_MAX_NAMES: Final = 4096


@dataclass(slots=True)
class _Name:
    """What is known of one name: the last good addresses, and the look-up under way."""

    addresses: list[str]
    fresh_until_s: float
    lookup: "asyncio.Task[None] | None" = None


class Resolver:
    """Looks names up off the loop, once for all who ask at the same time.

    While a look-up lasts or fails, the last good answer is used; without one, nobody waits longer than `patience_s`.
    Names come only from the registry or the configuration, never from a caller.
    """

    def __init__(self, clock: Callable[[], float], patience_s: float = 0.5) -> None:
        """`patience_s` leaves time to connect to the fallback address within the usual connect timeout of 1 s."""
        self._clock = clock
        self._patience_s = patience_s
        self._known: dict[str, _Name] = {}

    async def addresses(self, host: str, ip: str, permitted: Callable[[str], bool] = lambda _: True) -> list[str]:
        """What to dial, in order. Eureka's `hostName` is the address an instance wants to be called by (Spring puts
        the IP there when told to prefer it); `ipAddr` is the fallback when that name does not resolve here, or only
        to what is not `permitted`. Dial these and not the name: it may resolve to something else the next time."""
        if is_ip(host):
            return [host] if permitted(host) else []
        found = [each for each in await self._lookup(host) if permitted(each)]
        return found or ([ip] if is_ip(ip) and permitted(ip) else [])

    async def close(self) -> None:
        lookups = [name.lookup for name in self._known.values() if name.lookup is not None]
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)

    async def _lookup(self, host: str) -> list[str]:
        name = self._known.get(host)
        if name is None:
            if len(self._known) >= _MAX_NAMES:
                self._known = {host: each for host, each in self._known.items() if each.lookup is not None}
            name = self._known[host] = _Name([], 0.0)
        if self._clock() >= name.fresh_until_s and name.lookup is None:
            name.lookup = asyncio.create_task(self._refresh(host, name))
        if name.lookup is not None and not name.addresses:
            await asyncio.wait([name.lookup], timeout=self._patience_s)
        return name.addresses

    async def _refresh(self, host: str, name: _Name) -> None:
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
            name.addresses = list(dict.fromkeys(str(info[4][0]) for info in infos))
        except (OSError, UnicodeError):
            pass  # keep the last good answer, and do not ask again at once
        finally:
            name.fresh_until_s = self._clock() + _FRESH_S
            name.lookup = None

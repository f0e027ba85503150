"""Light traffic, so that there is something to see: what the demo app asks of other services."""

import asyncio
from random import Random

import aiohttp

from prana.demo.sample import HOST
from prana.demo.scene import RECOMMENDATIONS, USERS

_CALLERS = {RECOMMENDATIONS: 4, USERS: 1}
_PAUSE_S = 0.5
_PATIENCE_S = 2.0  # longer than the sidecar takes for any answer, fallbacks included

CALLS_PER_S = {service: callers / _PAUSE_S for service, callers in _CALLERS.items()}
"""About as many, and never more: each caller waits for its answer and then pauses."""


async def keep_calling(session: aiohttp.ClientSession, proxy_port: int, rng: Random) -> None:
    """Calls through the sidecar until cancelled."""
    async with asyncio.TaskGroup() as group:
        for service, callers in _CALLERS.items():
            for _ in range(callers):
                group.create_task(_caller(session, f"http://{HOST}:{proxy_port}/{service}/traffic", rng))


async def _caller(session: aiohttp.ClientSession, url: str, rng: Random) -> None:
    while True:
        await asyncio.sleep(_PAUSE_S * rng.uniform(0.8, 1.2))
        await _call(session, url)


async def _call(session: aiohttp.ClientSession, url: str) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_S), session.get(url) as response:
            await response.read()
    except (aiohttp.ClientError, TimeoutError):
        # The sidecar's log and metrics tell what fails; here it would only be told twice.
        return

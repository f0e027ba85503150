"""The servers that must answer alike: the embedded one always, the real ones where there is Java."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from registry.server import RegistrySettings, serve
from tests.contract.eureka import Eureka


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("spring", marks=pytest.mark.eureka),
        pytest.param("netflix", marks=pytest.mark.eureka),
    ]
)
async def eureka(request: pytest.FixtureRequest) -> AsyncIterator[Eureka]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        if request.param != "embedded":
            yield Eureka(session, request.getfixturevalue(f"{request.param}_eureka").url, request.param)
            return
        server = await serve("127.0.0.1", 0, RegistrySettings(strict_leases=True))  # the others have no other leases
        yield Eureka(session, server.url, "embedded")
        await server.close()

"""A port as asyncio opens it."""

import asyncio
from collections.abc import Callable
from typing import cast

from admin.server import Accept, Listen


class Port:
    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self.port = int(server.sockets[0].getsockname()[1])

    def close(self) -> None:
        self._server.close()


def on(host: str = "127.0.0.1", port: int = 0) -> Listen:
    async def listen(accept: Accept) -> list[Port]:
        loop = asyncio.get_running_loop()
        return [Port(await loop.create_server(cast(Callable[[], asyncio.Protocol], accept), host, port))]

    return listen

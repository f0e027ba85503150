"""An instance made with `websockets`: `python echo.py PORT`.

It echoes every message, but obeys a text that begins with "/": `/close CODE REASON`, `/ping` (and says when the pong is
there), `/fragments` (one message in three frames), `/flood N` (so many messages of 1 MiB, then "done"). Of every
connection that ends it prints how.
"""

import asyncio
import json
import sys

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

MIB = 1024**2


async def handle(socket: ServerConnection) -> None:
    try:
        async for message in socket:
            if isinstance(message, str) and message.startswith("/"):
                await obey(socket, *message.split())
            else:
                await socket.send(message)
    except ConnectionClosed:
        pass  # printed below, as any other end
    print(json.dumps({"code": socket.close_code, "reason": socket.close_reason}), flush=True)  # noqa: T201 - its report


async def obey(socket: ServerConnection, order: str, *rest: str) -> None:
    if order == "/close":
        await socket.close(int(rest[0]), rest[1])
    elif order == "/ping":
        await (await socket.ping("there?"))
        await socket.send("pong there?")
    elif order == "/fragments":
        await socket.send(["one ", "two ", "three"])
    elif order == "/flood":
        for left in range(int(rest[0]), 0, -1):
            await socket.send(bytes([left % 256]) * MIB)
        await socket.send("done")


async def main(port: int) -> None:
    async with serve(handle, "127.0.0.1", port, subprotocols=[Subprotocol("chat")], max_size=None, ping_interval=None):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

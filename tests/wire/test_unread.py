"""What the kernel holds for a reader that does not read counts too."""

import asyncio
import sys

from prana.wire.unread import unread_bytes


async def test_an_empty_line_has_nothing_unread_and_a_full_one_all_that_was_not_taken() -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    server = await asyncio.start_server(hold, "127.0.0.1", 0, limit=1024)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert unread_bytes(writer.transport) == 0
    size = 32 * 1024 * 1024
    writer.write(bytes(size))
    loops = writer.transport.get_write_buffer_size()
    assert 0 < loops < size
    unread = unread_bytes(writer.transport)
    if sys.platform == "linux":
        assert loops < unread <= size
    writer.transport.abort()
    server.close()

"""What the kernel holds for a reader that does not read counts too."""

import asyncio
import contextlib
import socket
import sys

from prana.wire.unread import unread_bytes


async def test_an_empty_line_has_nothing_unread_and_a_full_one_all_that_was_not_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody_accepts:
        _, writer = await asyncio.open_connection(*nobody_accepts.getsockname())
        assert unread_bytes(writer.transport) == 0
        size = 32 * 1024 * 1024
        writer.write(bytes(size))
        loops = writer.transport.get_write_buffer_size()
        assert 0 < loops < size
        if sys.platform == "linux":
            assert loops < unread_bytes(writer.transport) <= size
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

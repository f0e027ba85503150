"""A piece of a body on its way out."""

import asyncio
from typing import Final

_COPIED_BYTES: Final = 16 * 1024  # up to here one buffer more costs more than copying


def write_piece(transport: asyncio.WriteTransport, head: bytes, data: bytes, *, chunked: bool) -> None:
    """Write `head` and then `data`, if there is any as one chunk: small ones in one piece, a large one uncopied."""
    end = b""
    if chunked and data:
        head, end = b"%b%x\r\n" % (head, len(data)), b"\r\n"
    if len(data) <= _COPIED_BYTES:
        transport.write(head + data + end)
    else:
        transport.writelines((head, data, end))

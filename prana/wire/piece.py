"""A piece of a body on its way out."""

import asyncio
from typing import Final

_COPIED_BYTES: Final = 16 * 1024  # up to here one buffer more costs more than copying


def chunk(data: bytes) -> bytes:
    """As one chunk of the chunked coding; none if there is no data, for that would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def write_piece(transport: asyncio.WriteTransport, head: bytes, data: bytes, *, chunked: bool) -> None:
    """Write `head` and then `data`, if there is any as one chunk: small ones in one piece, a large one uncopied."""
    if len(data) <= _COPIED_BYTES:
        transport.write(head + (chunk(data) if chunked else data))
    elif chunked:
        transport.writelines((b"%b%x\r\n" % (head, len(data)), data, b"\r\n"))
    else:
        transport.writelines((head, data))

"""WebSocket handshakes (RFC 6455 section 4): which request is one, and which answer accepts it. No I/O.

WebSocket is the only upgrade there is. Whatever falls short of these rules is an ordinary request, whose offer an
instance never sees (RFC 9110 section 7.8: a server may ignore it); h2c, which would hide all further requests of a
connection from us, among them.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prana.wire.fields import Field, listed

if TYPE_CHECKING:  # both carry an Upgrade, or are carried by it
    from prana.request import Request
    from prana.wire.tunnel import Tunnel

SWITCHING_PROTOCOLS: Final = 101
SWITCH_LINES: Final = b"Connection: Upgrade\r\nUpgrade: websocket"

_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


@dataclass(slots=True)
class Upgrade:
    """A handshake that goes to the instance as one, and what became of it."""

    key: bytes
    idle_timeout_s: float = 0.0  # of the tunnel; the service's once routed
    tunnel: "Tunnel | None" = None  # once the instance has switched
    lasted_s: float = 0.0  # the tunnel, once it is over


def offered(request: "Request") -> Upgrade | None:
    """The upgrade that a request without a body asks for, whose Connection header names `upgrade`; None if that is
    no complete WebSocket handshake.

    What contradicts it, or would be lost on the way, makes it none: `Connection: close`, or a header of the handshake
    nominated as hop-by-hop.
    """
    if request.method != b"GET" or request.http10:
        return None
    if any(token == b"close" or token.startswith(b"sec-websocket-") for token in request.connection_tokens):
        return None
    headers = request.headers
    if (_only(headers, b"upgrade") or b"").lower() != b"websocket" or _only(headers, b"sec-websocket-version") != b"13":
        return None
    key = _only(headers, b"sec-websocket-key")
    return Upgrade(key) if key is not None and _KEY.fullmatch(key) else None


def accepts(headers: Sequence[Field], key: bytes) -> bool:
    """Whether a 101 switches to what was asked for with `key` (RFC 6455 section 4.1, items 2 to 4)."""
    connection = b",".join(field.value for field in headers if field.lower == b"connection")
    return (
        (_only(headers, b"upgrade") or b"").lower() == b"websocket"
        and b"upgrade" in listed(connection)
        and _only(headers, b"sec-websocket-accept") == accept_value(key)
    )


def accept_value(key: bytes) -> bytes:
    """What Sec-WebSocket-Accept must say to `key`: proof that the instance read this handshake, no protection."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def _only(headers: Sequence[Field], lower_name: bytes) -> bytes | None:
    """The value of a header that is there once; None when it is missing or repeated."""
    values = [field.value for field in headers if field.lower == lower_name]
    return values[0] if len(values) == 1 else None

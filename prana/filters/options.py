"""OPTIONS about the proxy itself: for the last of its hops, or for all of a gateway that is nobody in particular."""

from prana.request import Response
from prana.wire.fields import Field
from prana.wire.headers import phrase

ALLOWED_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


def own_options() -> Response:
    """RFC 9110 section 9.3.7."""
    return Response(200, phrase(200), [Field(b"Allow", ALLOWED_METHODS), Field(b"Proxy-Status", b"prana")], b"")

"""The same answer to every request: a static body, or the content of a file."""

from prana.fallback.substitute import Kind
from prana.request import Request, Response
from prana.wire.fields import Field
from prana.wire.headers import phrase


class Fixed:
    """Always answers, so that nothing behind it in a chain is ever reached."""

    def __init__(self, kind: Kind, status: int, media_type: str, content: bytes) -> None:
        self.kind = kind
        self._status = status
        self._media_type = Field(b"Content-Type", media_type.encode())
        self._content = content

    async def __call__(self, request: Request) -> Response:
        return Response(self._status, phrase(self._status), [self._media_type], self._content)

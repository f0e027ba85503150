"""An answer that was received whole, to be given again."""

from collections.abc import Callable
from functools import partial
from typing import Final

from prana.request import End, Response
from prana.wire.body import BodyStream
from prana.wire.fields import Field, Headers, Meaning
from prana.wire.headers import nominated

_FIELD_BYTES: Final = 250  # a Field with its four texts, before their lengths
_ENTRY_BYTES: Final = 1000


class Kept:
    """End-to-end headers as the instance sent them, in their order, and the content."""

    __slots__ = ("content", "headers", "reason", "status")

    def __init__(self, response: Response) -> None:
        """Its headers as they are now; the content is set once it is there."""
        taken_back = nominated(response.headers)
        self.status = response.status
        self.reason = response.reason
        self.headers: Headers = [field for field in response.headers if _passes(field, taken_back)]
        self.content = b""

    def again(self, *more: Field) -> Response:
        """A new answer like it, with `more` behind its headers."""
        return Response(self.status, self.reason, [*self.headers, *more], self.content)

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        return _ENTRY_BYTES + len(self.content) + sum(_FIELD_BYTES + 3 * len(field.line) for field in self.headers)


def _passes(field: Field, taken_back: frozenset[bytes]) -> bool:
    return (field.meaning is None or field.meaning is Meaning.DATE) and field.lower not in taken_back


def when_whole(response: Response, limit_bytes: int, then: Callable[[bytes | None], None]) -> None:
    """Calls `then` once: with the content when the last byte of it was handed on, or with None as soon as it is known
    that there will be none of up to `limit_bytes`, or when the answer has trailers, which a copy would not have."""
    body = response.body
    if isinstance(body, bytes):
        then(body if len(body) <= limit_bytes else None)
    elif response.content_length is not None and response.content_length > limit_bytes:
        then(None)
    else:
        body.retain(limit_bytes)
        response.on_finish(partial(_finished, body, then))


def _finished(body: BodyStream, then: Callable[[bytes | None], None], end: End) -> None:
    whole = end is End.COMPLETE and body.whole and not body.trailers
    then(body.taken if whole else None)

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
_NOTHING: Final = frozenset[bytes]()


class Kept:
    """End-to-end headers as the instance sent them, in their order, and the content."""

    __slots__ = ("content", "headers", "reason", "status")

    def __init__(self, response: Response) -> None:
        """Its headers as they are now; the content is set once it is there."""
        taken_back = _NOTHING
        for field in response.headers:
            if field.meaning is Meaning.CONNECTION:
                taken_back = nominated(response.headers)
        self.status = response.status
        self.reason = response.reason
        self.headers: Headers = [
            field
            for field in response.headers
            if (field.meaning is None or field.meaning is Meaning.DATE) and field.lower not in taken_back
        ]
        self.content = b""

    def again(self, *more: Field) -> Response:
        """A new answer like it, with `more` behind its headers."""
        return Response(self.status, self.reason, [*self.headers, *more], self.content)

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        return _ENTRY_BYTES + len(self.content) + sum(_FIELD_BYTES + 3 * len(field.line) for field in self.headers)


Then = Callable[[bytes | None, End], None]


def when_whole(response: Response, limit_bytes: int, then: Then) -> None:
    """Calls `then` once, as soon as all of the content is there and at the latest when it was handed on, or as soon as
    it is known that a copy is not possible: with the content or None, and how the answer ended. None for one that is
    complete has more than `limit_bytes`, or trailers, which a copy would not have."""
    body = response.body
    if isinstance(body, bytes):
        then(body if len(body) <= limit_bytes else None, End.COMPLETE)
    elif body.whole and not body.trailers and body.received_bytes <= limit_bytes:
        then(body.buffered, End.COMPLETE)
    elif response.content_length is not None and response.content_length > limit_bytes:
        then(None, End.COMPLETE)
    else:
        body.retain(limit_bytes)
        response.on_finish(partial(_finished, body, limit_bytes, then))


def _finished(body: BodyStream, limit_bytes: int, then: Then, end: End) -> None:
    content = body.taken
    if content is not None and len(content) < body.received_bytes:  # given up, though complete
        then(None, End.DISCARDED if end is End.COMPLETE else end)
    elif content is None or len(content) > limit_bytes or body.trailers or not body.whole:
        then(None, end)
    else:
        then(content, end)

"""The last good answer to the same GET."""

import email.utils
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from prana.fallback.store import AnswerStore
from prana.fallback.substitute import Kind
from prana.kept import Kept, when_whole
from prana.request import End, Request, Response
from prana.sharing import may_be_kept, may_share, target_uri
from prana.wire.fields import Field, Headers, Meaning

_SAFE: Final = frozenset([b"GET", b"HEAD", b"OPTIONS", b"TRACE"])  # RFC 9110 section 9.2.1
_HIT: Final = Field(b"Cache-Status", b"prana; hit")  # RFC 9211


class LastGood:
    """Keeps what a command answered to GETs that anybody may have sent, and gives it again when the command fails."""

    kind = Kind.LAST_GOOD

    def __init__(
        self,
        max_age_s: float,
        max_entry_bytes: int,
        max_bytes: int,
        clock: Callable[[], float],
        epoch_s: Callable[[], float] = time.time,
    ) -> None:
        """`max_entry_bytes` bounds the content of one answer, `max_bytes` what all of them take in memory."""
        self._max_entry_bytes = max_entry_bytes
        self._clock = clock
        self._epoch_s = epoch_s
        self._store = AnswerStore(max_bytes, max_age_s, clock)

    @property
    def answers(self) -> int:
        """How many are kept, also such as have become too old to be given."""
        return len(self._store)

    @property
    def size_bytes(self) -> int:
        """What they take in memory."""
        return self._store.size_bytes

    def offer(self, request: Request, response: Response) -> None:
        """To be kept, if it may be, once its caller has all of it. What changes the resource ends what is kept of it
        (RFC 9111 section 4.4)."""
        if request.method not in _SAFE:
            if response.status < 400:
                self._store.forget(target_uri(request))
        elif (
            request.method == b"GET" and response.status == 200 and may_share(request) and may_be_kept(response.headers)
        ):
            when_whole(response, self._max_entry_bytes, partial(self._keep, request, self._dated(response)))

    def _dated(self, response: Response) -> Kept:
        """With the time when it came, if it does not tell (RFC 9110 section 6.6.1): else it would be new every time."""
        kept = Kept(response)
        if all(field.meaning is not Meaning.DATE for field in kept.headers):
            now = email.utils.formatdate(self._epoch_s(), usegmt=True).encode()
            kept.headers.append(Field(b"Date", now, Meaning.DATE))
        return kept

    def _keep(self, request: Request, kept: Kept, content: bytes | None, end: End) -> None:
        if content is None:
            return
        # From when it was asked for: on its way it gets older, too (RFC 9111 section 4.2.3).
        age_s = _age_s(kept.headers) + self._clock() - request.received_s
        kept.headers = [field for field in kept.headers if field.lower != b"age"]
        kept.content = content
        self._store.put(target_uri(request), request.headers, kept, age_s)

    async def __call__(self, request: Request) -> Response | None:
        """Also to a HEAD; its answer has no body, as always."""
        if request.method not in (b"GET", b"HEAD") or not may_share(request):
            return None
        found = self._store.find(target_uri(request), request.headers)
        if found is None:
            return None
        kept, age_s = found
        return kept.again(Field(b"Age", b"%d" % age_s), _HIT)


def _age_s(headers: Headers) -> float:
    """What a cache on the way said, as RFC 9111 section 5.1 wants it; 0 when it is not there or no number."""
    values = [field.value for field in headers if field.lower == b"age"]
    return float(values[0]) if len(values) == 1 and values[0].isdigit() and len(values[0]) < 10 else 0.0

"""The bytes of one body on their way from a protocol (producer) to a task (consumer)."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from prana.wire.fields import Headers
from prana.wire.limits import BODY_HIGH_WATER_BYTES
from prana.wire.patience import told


class BodyStream:
    """A bounded single-producer, single-consumer stream.

    The producer calls `feed`, then `end` or `fail`; past the high-water mark it is paused through `pause` until the
    consumer comes for more than is there, so has done with what it took. The consumer calls `take` (what is here now)
    and `read` (waits).
    """

    __slots__ = (
        "_chunks",
        "_on_demand",
        "_pause",
        "_paused",
        "_resume",
        "_retain_limit_bytes",
        "_retained",
        "_retained_bytes",
        "_size",
        "_waiter",
        "ended",
        "error",
        "received_bytes",
        "trailers",
    )

    def __init__(
        self,
        pause: Callable[[], None],
        resume: Callable[[], None],
        on_demand: Callable[[], None] | None = None,
    ) -> None:
        """`on_demand` is called once, when the consumer first waits (that is when 100 Continue is due)."""
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._pause = pause
        self._resume = resume
        self._on_demand = on_demand
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._retained: list[bytes] | None = []
        self._retained_bytes = 0
        self._retain_limit_bytes = 0
        self.received_bytes = 0
        self.ended = False
        self.error: BaseException | None = None
        self.trailers: Headers = []  # complete when the body has ended; not yet judged whether they may travel on

    # producer

    def feed(self, data: bytes) -> None:
        self._chunks.append(data)
        size = len(data)
        self.received_bytes += size
        self._size += size
        if self._size > BODY_HIGH_WATER_BYTES and not self._paused:
            self._paused = True
            self._pause()
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def fail(self, error: BaseException) -> None:
        """No more bytes will come and the body is incomplete; what is buffered is not worth delivering."""
        if not self.ended and self.error is None:
            self.error = error
            self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # consumer

    @property
    def whole(self) -> bool:
        """True when every byte has arrived and `take` gives the rest of the body."""
        return self.ended and self.error is None

    def take(self) -> bytes:
        """All bytes buffered now, b"" if none; raises the producer's failure."""
        if self.error is not None:
            raise self.error
        chunks = self._chunks
        if self._paused and (self.ended or not chunks):
            self._go_on()
        if not chunks:
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._size = 0
        self._keep_for_replay(data)
        return data

    @property
    def buffered(self) -> bytes:
        """What `take` would give, left where it is."""
        return b"".join(self._chunks)

    @property
    def awaits_continue(self) -> bool:
        """True while the caller has sent nothing yet and may be waiting for 100 Continue."""
        return self._on_demand is not None and not self._chunks and not self.ended

    def continued(self) -> None:
        """The caller has been told to go on."""
        self._on_demand = None
        self._wake()

    async def offered(self, timeout_s: float) -> None:
        """Wait until the caller sends unasked or has been told to go on, at most `timeout_s`."""
        if self.awaits_continue and self.error is None:
            with contextlib.suppress(TimeoutError):
                await self._wait(timeout_s)

    async def read(self, timeout_s: float) -> bytes:
        """The next bytes; b"" at the end. Raises TimeoutError after `timeout_s` without any."""
        while True:
            if data := self.take():
                return data
            if self.ended:
                return b""
            if self._on_demand is not None:
                self._on_demand()
                self._on_demand = None
            await self._wait(timeout_s)

    async def _wait(self, timeout_s: float) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await told(self._waiter, timeout_s)
        finally:
            self._waiter = None

    def discard(self) -> None:
        """Nobody will read the rest; the producer, which others may share, goes on."""
        self._chunks.clear()
        self._size = 0
        if self._paused:
            self._go_on()

    def _go_on(self) -> None:
        self._paused = False
        self._resume()

    # replay

    def retain(self, limit_bytes: int) -> None:
        """Keep what is taken, up to `limit_bytes` in all, so that `rewind` can offer it again. Of several limits the
        highest holds."""
        self._retain_limit_bytes = max(self._retain_limit_bytes, limit_bytes)

    @property
    def replayable(self) -> bool:
        """True while everything taken so far is still held."""
        return self._retained is not None and self.error is None

    @property
    def taken(self) -> bytes | None:
        """All that was taken, None if that is more than `retain` allows."""
        return None if self._retained is None else b"".join(self._retained)

    def rewind(self) -> None:
        """Put back everything taken. Only while `replayable`."""
        assert self._retained is not None, "rewound a body that is not replayable"  # noqa: S101 - caller's contract
        self._chunks.extendleft(reversed(self._retained))
        self._size += self._retained_bytes
        self._retained, self._retained_bytes = [], 0

    def copy(self) -> "BodyStream":
        """All of it once more, for an attempt beside the one that this is for. Only while `whole` and `replayable`."""
        assert self.whole and self._retained is not None, "copied a body that is not all there"  # noqa: S101 - as above
        copied = BodyStream(_nothing, _nothing)
        copied.retain(self._retain_limit_bytes)
        for data in (*self._retained, *self._chunks):
            copied.feed(data)
        copied.trailers = self.trailers
        copied.end()
        return copied

    def _keep_for_replay(self, data: bytes) -> None:
        if self._retained is None:
            return
        self._retained.append(data)
        self._retained_bytes += len(data)
        if self._retained_bytes > self._retain_limit_bytes:
            self._retained = None


def _nothing() -> None:
    """What there is to pause of a producer that is done."""

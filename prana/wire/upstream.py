"""One connection to an instance, and one exchange at a time on it."""

import asyncio
import contextlib
import select
import ssl
from typing import Protocol

from prana.errors import BadRequest, ConnectionBroken, ProxyError, ResponseTimeout, UpstreamProtocolError
from prana.request import End, Request, Response
from prana.wire.alarm import Alarm
from prana.wire.answer import AnswerReader, StatusLines
from prana.wire.body import BodyStream
from prana.wire.fields import FieldLines, Headers
from prana.wire.gate import WriteGate
from prana.wire.intake import Intake
from prana.wire.limits import CONTINUE_TIMEOUT_S
from prana.wire.piece import chunk, write_piece
from prana.wire.tls_failure import tls_failure
from prana.wire.trailers import LAST_CHUNK, last_chunk
from prana.wire.tunnel import Tunnel
from prana.wire.upgrade import SWITCHING_PROTOCOLS, accepts

Endpoint = tuple[str, int]
Link = tuple[Endpoint, Endpoint]  # who connected, to whom; both, for a local port serves several connections

_COMPLETE = End.COMPLETE  # named as in prana.resilience.classify, for speed


class Home(Protocol):
    """What a connection needs of the pool it belongs to. `done` is called once per exchange, `lost` once."""

    lines: FieldLines
    status_lines: StatusLines
    timeouts: "Alarm[UpstreamConnection]"

    def done(self, connection: "UpstreamConnection", reusable: bool) -> None: ...
    def lost(self, connection: "UpstreamConnection") -> None: ...


class UpstreamConnection(asyncio.Protocol):
    """Writes a request and reads the answer.

    After anything unusual (early answer with an unfinished upload, extra bytes, parse doubt, a cancelled
    exchange) the connection is closed and never pooled: most proxy vulnerabilities of recent years begin with
    the reuse of such a connection.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._timeouts = home.timeouts
        self._intake = Intake()
        self._reader = AnswerReader(home.lines, home.status_lines, self._interim, self._answer, self._new_body)
        self._transport: asyncio.Transport = None  # type: ignore[assignment] # set before anything else can run
        self._gate = WriteGate()
        self._head: asyncio.Future[Response] | None = None
        self._request: Request | None = None
        self._pump: asyncio.Task[None] | None = None
        self._poll: select.poll | None = None
        self._switching: Response | None = None
        self._next_turn: asyncio.Handle | None = None  # in which the reader's rest is read
        self._tainted = False
        self.answered = False  # a byte of the current answer has arrived
        self.idle_since_s = 0.0
        self.idle_timeout_s = 0.0
        self.link: Link = (("", 0), ("", 0))

    @property
    def transport(self) -> asyncio.Transport:
        """What is written to; TLS comes between with another `connection_made`."""
        return self._transport

    @property
    def closed(self) -> bool:
        return self._transport.is_closing()

    def has_unread(self) -> bool:
        """Whether something has arrived that the loop has not come to yet. Costs a system call."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(self._poll.poll(0))

    def use_once(self) -> None:
        """Its first exchange is its last."""
        self._tainted = True

    # the exchange

    async def exchange(self, request: Request, head: bytes, timeout_s: float) -> Response:
        """Send and wait for the response head.

        `timeout_s` counts until the response head, from the moment the request is completely sent: while the
        caller is still uploading, `request.idle_timeout_s` between its bytes applies instead. Raises ProxyError;
        the connection is then closed. The returned response's `finish` gives the connection back.
        """
        waiter = self._begin(request)
        self._timeout_s = timeout_s
        body = request.body
        try:
            if body is None:
                self._transport.write(head)
                self._sent()
            elif body.whole:
                self._transport.write(head + self._whole_body(request, body))
                self._sent()
            else:
                self._transport.write(head)
                self._pump = request.upload = asyncio.create_task(self._upload(request, body))
                self._pump.add_done_callback(self._uploaded)
            response = await waiter
        except BaseException:
            await self._stop_upload()
            self.close()
            raise
        response.on_finish(self._finish)
        return response

    def _begin(self, request: Request) -> "asyncio.Future[Response]":
        self._request = request
        self._head = asyncio.get_running_loop().create_future()
        self._pump = None
        self._request_sent = False
        self.answered = False
        self._reader.begin(request.method)
        return self._head

    def _sent(self) -> None:
        self._request_sent = True
        if self._head is not None and not self._head.done():
            self._timeouts.set(self, self._timeout_s)

    def expire(self) -> None:
        """No answer has begun within the timeout."""
        self._fail(ResponseTimeout(f"no response within {self._timeout_s:.3g} s", sent=True))

    async def _upload(self, request: Request, body: BodyStream) -> None:
        content_length, idle_timeout_s = request.content_length, request.idle_timeout_s
        if body.awaits_continue:
            await body.offered(CONTINUE_TIMEOUT_S)
            if self._head is None or self._head.done():
                return  # a final answer instead of 100: nobody wants this body (RFC 9110 section 10.1.1)
        while True:
            try:
                data = await body.read(idle_timeout_s)
            except TimeoutError:
                raise BadRequest("the request body stalled", sent=True, status=408) from None
            if self.closed:
                return  # and whoever closed it has said why
            if not data:
                break
            write_piece(self._transport, b"", data, chunked=content_length is None)
            del data  # only the transport holds it now
            try:
                await self._gate.passed(idle_timeout_s)
            except TimeoutError:
                raise ResponseTimeout("the instance stopped reading the request", sent=True) from None
        if content_length is None:
            self._transport.write(self._last_chunk(request, body))
        self._sent()

    def _whole_body(self, request: Request, body: BodyStream) -> bytes:
        data = body.take()
        if request.content_length is not None:
            return data
        end = self._last_chunk(request, body)
        return chunk(data) + end

    def _last_chunk(self, request: Request, body: BodyStream) -> bytes:
        end = last_chunk(body.trailers, request.connection_tokens)
        if end != LAST_CHUNK:
            # aiohttp 3.14 takes trailers for headers of the next request on the connection, whoever's that is.
            self._tainted = True
        return end

    def _uploaded(self, pump: "asyncio.Task[None]") -> None:
        if not pump.cancelled() and (error := pump.exception()) is not None:
            self._tainted = True
            self._fail(error)

    async def _stop_upload(self) -> None:
        """After this nobody reads the request body, so another attempt may rewind it."""
        if self._pump is not None and not self._pump.done():
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError, ProxyError):
                await self._pump

    def _finish(self, end: End) -> None:
        """The response was handed on to its last byte, or given up."""
        if self._pump is not None:
            self._pump.cancel()
        reader = self._reader
        clean = reader.complete and reader.keep_alive and self._request_sent and not self._tainted
        reusable = clean and end is _COMPLETE and not self._transport.is_closing()
        self._request = self._head = None
        if not reusable:
            self.close()
        self._home.done(self, reusable)

    @property
    def announced_keep_alive(self) -> bytes:
        """The value of the Keep-Alive header of the latest answer."""
        return self._reader.announced

    def close(self) -> None:
        """Abort: whatever is unread or unsent on this connection is worthless. Idempotent."""
        self._timeouts.clear(self)
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        self._transport.abort()

    def retire(self) -> None:
        """Close what idles: nothing is unsent, and TLS says goodbye."""
        self._transport.close()

    def _fail(self, error: BaseException) -> None:
        """The exchange failed: before the head the waiter learns it, after it the body breaks off."""
        if self._head is not None and not self._head.done():
            self._head.set_exception(error)
        elif self._reader.body is not None:
            self._reader.body.fail(error)
        self.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "abort")  # noqa: S101 - uvloop's type
        self._transport = transport  # type: ignore[assignment] # uvloop transports do not inherit from asyncio's
        self._intake.transport = self._transport
        here, there = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if here is not None and there is not None:  # else it was reset already
            self.link = (here[:2], there[:2])

    def data_received(self, data: bytes) -> None:
        if self._head is None or self._transport.is_closing():
            self.close()  # bytes nobody asked for: they must never become somebody's answer
            return
        if self._next_turn is not None:
            self._reader.rest += data  # TLS hands on what it has read already, whether paused or not
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        self.answered = True
        try:
            if not self._reader.feed(data):
                self._left_over()
        except UpstreamProtocolError as error:
            self._fail(error)
            return
        if self._switching is not None:
            self._switch(self._switching)

    def _left_over(self) -> None:
        if not self._reader.complete:
            self._intake.pause()
            self._next_turn = asyncio.get_running_loop().call_soon(self._read_on)
        elif self._switching is None:
            self._tainted = True

    def _read_on(self) -> None:
        """What was too much for one turn of the loop."""
        self._next_turn = None
        self._intake.resume()
        data, self._reader.rest = self._reader.rest, b""
        self._read(data)

    def eof_received(self) -> None:
        self._ended(regular=True)
        self.close()  # now, so that it is not taken for a live one until the loop reports it lost

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(exc)
        self._home.lost(self)

    def _ended(self, exc: Exception | None = None, *, regular: bool = False) -> None:
        """The instance closed. That is a regular end only for a body delimited by it (RFC 9112 section 6.3), and if
        `eof_received` told it: through TLS it does so only for a close_notify (section 9.8)."""
        while self._next_turn is not None:  # it counts only behind what came before it, which is one read at most
            self._next_turn.cancel()
            self._read_on()
        if self._head is None or self._reader.complete or (regular and self._reader.end()):
            return
        if isinstance(exc, ssl.SSLError):
            self._fail(tls_failure(exc, "the instance", sent=True))
            return
        detail = "the instance closed the connection before a complete answer"
        self._fail(ConnectionBroken(detail if exc is None else f"{detail}: {exc}", sent=True))

    def pause_writing(self) -> None:
        self._gate.close()

    def resume_writing(self) -> None:
        self._gate.open()

    # what the reader finds

    def _new_body(self) -> BodyStream:
        return BodyStream(self._intake.pause, self._intake.resume)

    def _answer(self, response: Response) -> None:
        head = self._head
        if head is None or head.done():
            return  # it has failed meanwhile
        self._timeouts.clear(self)
        if response.status == SWITCHING_PROTOCOLS:
            self._switching = response
            return
        if not self._request_sent and response.status >= 300 and not self._reader.keep_alive and self._pump is not None:
            self._pump.cancel()  # it refuses the rest of the body (RFC 9112 section 9.5)
        head.set_result(response)

    def _switch(self, response: Response) -> None:
        """The answer is complete, and so is HTTP on this connection: `rest` came behind it."""
        upgrade = self._request.upgrade if self._request is not None else None
        if upgrade is None or not accepts(response.headers, upgrade.key):
            self._fail(UpstreamProtocolError("a 101 response to what it was not asked for", sent=True))
            return
        upgrade.tunnel = Tunnel(self._transport, self._reader.rest, self.connection_lost)
        assert self._head is not None  # noqa: S101 - see _answer
        self._head.set_result(response)

    def _interim(self, status: int, reason: bytes, headers: Headers) -> None:
        request = self._request
        if request is None or request.send_interim is None:
            return
        if status == 100:
            if request.body is None or not request.body.awaits_continue:
                return  # not asked for, or no longer
            request.body.continued()
        request.send_interim(status, reason, headers)

"""One connection to an instance, and one exchange at a time on it."""

import asyncio
import contextlib
import re
import select
import ssl
from collections.abc import Callable
from typing import Any, Final

import httptools

from prana.errors import BadRequest, ConnectionBroken, ProxyError, ResponseTimeout, UpstreamProtocolError
from prana.request import End, Headers, Request, Response
from prana.wire.body import BodyStream
from prana.wire.gate import WriteGate
from prana.wire.headers import header
from prana.wire.limits import (
    CHUNK_OVERHEAD_BYTES,
    CONTINUE_TIMEOUT_S,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_INTERIM_RESPONSES,
    MAX_LINE_BYTES,
)
from prana.wire.tls_failure import tls_failure
from prana.wire.trailers import LAST_CHUNK, last_chunk
from prana.wire.tunnel import Tunnel
from prana.wire.upgrade import SWITCHING_PROTOCOLS, accepts

Endpoint = tuple[str, int]
Link = tuple[Endpoint, Endpoint]  # who connected, to whom; both, for a local port serves several connections

_BODILESS: Final = frozenset([204, 304])
_H: Final = ord("H")
# RFC 9112 section 4; llhttp lets control characters and any length pass.
_REASON: Final = re.compile(rb"[\t -~\x80-\xff]{0,%d}" % MAX_LINE_BYTES)


class UpstreamConnection(asyncio.Protocol):
    """Writes a request and parses the response.

    After anything unusual (early answer with an unfinished upload, extra bytes, parse doubt, a cancelled
    exchange) the connection is closed and never pooled: most proxy vulnerabilities of recent years begin with
    the reuse of such a connection. `on_done(self, reusable)` is called once per exchange, `on_lost(self)` once.
    """

    def __init__(
        self,
        on_done: Callable[["UpstreamConnection", bool], None],
        on_lost: Callable[["UpstreamConnection"], None],
    ) -> None:
        self._on_done = on_done
        self._on_lost = on_lost
        self._parser = _new_parser(self)
        self._transport: asyncio.Transport = None  # type: ignore[assignment] # set before anything else can run
        self._gate = WriteGate()
        self._head: asyncio.Future[Response] | None = None
        self._request: Request | None = None
        self._body: BodyStream | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pump: asyncio.Task[None] | None = None
        self._poll: select.poll | None = None
        self._tainted = False
        self._quiet_bytes = 0  # fed since the parser last produced something: bounds what it hides from us
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
        self._begin(request)
        assert self._head is not None  # noqa: S101 - set by _begin; tells mypy
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
                self._pump = asyncio.create_task(self._upload(request, body))
                self._pump.add_done_callback(self._uploaded)
            response = await self._head
        except BaseException:
            await self._stop_upload()
            self.close()
            raise
        response.on_finish(self._finish)
        return response

    def _begin(self, request: Request) -> None:
        self._request = request
        self._head = asyncio.get_running_loop().create_future()
        self._body = None
        self._pump = None
        self._request_sent = False
        self._complete = False
        self._keep_alive = False
        self._interims = 0
        self.answered = False
        self._start_message()

    def _sent(self) -> None:
        self._request_sent = True
        if self._head is not None and not self._head.done():
            self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._expire)

    def _expire(self) -> None:
        self._fail(ResponseTimeout(f"no response within {self._timeout_s:.3g} s", sent=True))

    async def _upload(self, request: Request, body: BodyStream) -> None:
        write, content_length, idle_timeout_s = self._transport.write, request.content_length, request.idle_timeout_s
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
            write(data if content_length is not None else b"%x\r\n%b\r\n" % (len(data), data))
            try:
                await self._gate.passed(idle_timeout_s)
            except TimeoutError:
                raise ResponseTimeout("the instance stopped reading the request", sent=True) from None
        if content_length is None:
            write(self._last_chunk(request, body))
        self._sent()

    def _whole_body(self, request: Request, body: BodyStream) -> bytes:
        data = body.take()
        if request.content_length is not None:
            return data
        end = self._last_chunk(request, body)
        return b"%x\r\n%b\r\n%b" % (len(data), data, end) if data else end

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
        clean = self._complete and self._request_sent and not self._tainted
        reusable = end is End.COMPLETE and clean and self._keep_alive
        self._end_exchange()
        if not reusable:
            self.close()
        self._on_done(self, reusable and not self.closed)

    def _end_exchange(self) -> None:
        self._stop_timer()
        self._request = self._head = self._body = None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Abort: whatever is unread or unsent on this connection is worthless. Idempotent."""
        self._stop_timer()
        self._transport.abort()

    def retire(self) -> None:
        """Close what idles: nothing is unsent, and TLS says goodbye."""
        self._transport.close()

    def _fail(self, error: BaseException) -> None:
        """The exchange failed: before the head the waiter learns it, after it the body breaks off."""
        if self._head is not None and not self._head.done():
            self._head.set_exception(error)
        elif self._body is not None:
            self._body.fail(error)
        self.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "abort")  # noqa: S101 - uvloop's type
        self._transport = transport  # type: ignore[assignment] # uvloop transports do not inherit from asyncio's
        here, there = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if here is not None and there is not None:  # else it was reset already
            self.link = (here[:2], there[:2])

    def data_received(self, data: bytes) -> None:
        if self._head is None or self.closed:
            self.close()  # bytes nobody asked for: they must never become somebody's answer
            return
        if not self.answered:
            self.answered = True
            if data[0] != _H:  # llhttp reads answers of RTSP and ICE, too, and empty lines before one
                self._fail(UpstreamProtocolError("the answer does not begin with HTTP", sent=True))
                return
        self._quiet_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switched(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._fail(cause if isinstance(cause, ProxyError) else UpstreamProtocolError(str(error), sent=True))
            return
        if self._complete and self._body is None and _exceeds_head(data):
            self._tainted = True  # the parser that read the head has taken it for the body of HEAD, 204 or 304
        if self._quiet_bytes > MAX_HEAD_BYTES:
            self._fail(_too_large())
        elif self._quiet_bytes < 0:
            self._quiet_bytes = 0

    def eof_received(self) -> None:
        self._ended(regular=True)
        self.close()  # now, so that it is not taken for a live one until the loop reports it lost

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(exc)
        self._on_lost(self)

    def _ended(self, exc: Exception | None = None, *, regular: bool = False) -> None:
        """The instance closed. That is a regular end only for a body delimited by it (RFC 9112 section 6.3), and if
        `eof_received` told it: through TLS it does so only for a close_notify (section 9.8)."""
        if self._head is None or self._complete:
            return
        if regular and self._until_close and self._body is not None:
            self._complete = True
            self._body.end()
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

    # httptools callbacks

    def _start_message(self) -> None:
        self._headers: Headers = []
        self._reason = b""
        self._head_bytes = 0
        self._until_close = False

    def on_message_begin(self) -> None:
        if self._complete:
            self._tainted = True  # a second response: RFC 9112 section 6.3, never anybody's answer
        else:
            self._start_message()

    def on_status(self, reason: bytes) -> None:
        if not self._complete:
            self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._complete:
            return  # bytes nobody asked for
        headers = self._headers if self._body is None else self._body.trailers
        size_bytes = len(name) + len(value)
        self._head_bytes += size_bytes
        if size_bytes > MAX_LINE_BYTES or self._head_bytes > MAX_HEAD_BYTES or len(headers) >= MAX_HEADERS:
            raise _too_large()
        headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._complete or self._head is None or self._head.done():
            self._tainted = True
            return
        self._quiet_bytes = 0
        status = self._parser.get_status_code()
        version = self._parser.get_http_version()
        if status < 100 or (version != "1.1" and version[:2] != "1.") or _REASON.fullmatch(self._reason) is None:
            raise UpstreamProtocolError("not a valid status line", sent=True)
        if status < 200:
            if status == SWITCHING_PROTOCOLS:
                self._accept()
            else:
                self._interim(status)
            return
        self._stop_timer()
        assert self._request is not None  # noqa: S101 - an exchange is on
        response = self._response(status, bodiless=self._request.method == b"HEAD" or status in _BODILESS)
        if not self._request_sent and status >= 300 and not self._parser.should_keep_alive() and self._pump is not None:
            self._pump.cancel()  # it refuses the rest of the body (RFC 9112 section 9.5)
        self._head.set_result(response)

    def _accept(self) -> None:
        """The answer is complete, and so is HTTP on this connection: the parser stops here (`_switched`)."""
        upgrade = self._request.upgrade if self._request is not None else None
        if upgrade is None or not self._parser.should_upgrade() or not accepts(self._headers, upgrade.key):
            raise UpstreamProtocolError("a 101 response to what it was not asked for", sent=True)
        self._stop_timer()
        self._complete = True

    def _switched(self, received: bytes) -> None:
        """`received` came behind the 101 and is no HTTP any more."""
        if self._head is None or self._head.done():
            self._fail(UpstreamProtocolError("a second response, which switches protocols", sent=True))
            return
        assert self._request is not None and self._request.upgrade is not None  # noqa: S101 - see _accept
        self._request.upgrade.tunnel = Tunnel(self._transport, received, self.connection_lost)
        self._head.set_result(Response(SWITCHING_PROTOCOLS, self._reason, self._headers, b""))

    def _interim(self, status: int) -> None:
        self._interims += 1
        if self._interims > MAX_INTERIM_RESPONSES:
            raise UpstreamProtocolError(f"unexpected {status} response", sent=True)
        request = self._request
        if request is None or request.send_interim is None:
            return
        if status == 100:
            if request.body is None or not request.body.awaits_continue:
                return  # not asked for, or no longer
            request.body.continued()
        request.send_interim(status, self._reason, self._headers)

    def _response(self, status: int, bodiless: bool) -> Response:
        length = header(self._headers, b"content-length")
        codings = [value.strip().lower() for name, value in self._headers if name.lower() == b"transfer-encoding"]
        if codings not in ([], [b"chunked"]):
            raise UpstreamProtocolError("unsupported transfer coding", sent=True)
        if codings and self._parser.get_http_version() == "1.0":
            raise UpstreamProtocolError("Transfer-Encoding in an HTTP/1.0 response", sent=True)
        response = Response(status, self._reason, self._headers, b"")
        response.content_length = int(length) if length is not None else None
        if bodiless:
            self._complete = True
            self._keep_alive = self._parser.should_keep_alive()
            # llhttp would wait for the body that a HEAD response only describes.
            self._parser = _new_parser(self)
        else:
            self._until_close = length is None and not codings
            transport: Any = self._transport
            self._body = response.body = BodyStream(transport.pause_reading, transport.resume_reading)
        return response

    def on_body(self, data: bytes) -> None:
        if self._body is None or self._complete:
            self._tainted = True  # a body after HEAD, 204 or 304, or of a second response
        else:
            self._quiet_bytes -= CHUNK_OVERHEAD_BYTES + 3 * len(data)
            self._body.feed(data)

    def on_message_complete(self) -> None:
        if self._body is None:
            if not self._complete:
                self._start_message()  # an interim response ended
            return
        self._complete = True
        self._quiet_bytes = 0
        self._keep_alive = self._parser.should_keep_alive()
        self._body.end()


def _new_parser(connection: UpstreamConnection) -> httptools.HttpResponseParser:
    parser = httptools.HttpResponseParser(connection)
    parser.set_dangerous_leniencies(lenient_version=True)  # ours to judge: RFC 9110 section 2.5
    return parser


def _too_large() -> UpstreamProtocolError:
    limits = f"{MAX_HEADERS} header lines, {MAX_LINE_BYTES} bytes in one or {MAX_HEAD_BYTES} in all"
    return UpstreamProtocolError(f"a response with more than {limits}", sent=True)


def _exceeds_head(data: bytes) -> bool:
    """Whether anything follows the last head in `data`, whose end is in it."""
    if not b"\r\n\r\n".endswith(data[-4:]):
        return True
    _, earlier, last = data[:-4].rpartition(b"\r\n\r\n")
    return bool(earlier) and not last.startswith(b"HTTP/")

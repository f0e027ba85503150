"""One caller's connection: requests in, served one after another, answers out."""

import asyncio
import fcntl
import termios
from collections import deque
from collections.abc import Callable
from typing import Protocol

from prana.errors import BadRequest, ProxyError
from prana.request import End, Handler, Request, Response
from prana.wire.authority import is_own
from prana.wire.body import BodyStream
from prana.wire.fields import FieldLines, Headers
from prana.wire.gate import WriteGate
from prana.wire.headers import interim_head, nominated, response_head
from prana.wire.intake import Intake
from prana.wire.limits import (
    DRAIN_IDLE_S,
    FEED_BYTES,
    HEAD_TIMEOUT_S,
    KEEP_ALIVE_TIMEOUT_S,
    LINGER_TIMEOUT_S,
    MAX_PIPELINED,
    WRITE_STALL_BYTES,
    WRITE_STALL_TIMEOUT_S,
)
from prana.wire.pace import Pace
from prana.wire.piece import chunk, write_piece
from prana.wire.reader import RequestReader
from prana.wire.reset import reset
from prana.wire.trailers import LAST_CHUNK, last_chunk
from prana.wire.tunnel import Tunnel
from prana.wire.unread import unread_bytes
from prana.wire.upgrade import SWITCH_LINES, SWITCHING_PROTOCOLS
from prana.wire.upstream import Link

# A caller that has sent FIN may still be reading (half-close) or may be gone, and TCP shows no difference until
# we send. An interim response is legal at any time (RFC 9110 section 15.2), and a peer that is gone answers it with
# RST; the write after that sees it.
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_PROBE_AFTER_S = 0.03
_PROBE_EVERY_S = 5.0

_BODILESS = frozenset([204, 304])
_COMPLETE, _ABANDONED = End.COMPLETE, End.ABANDONED  # named as in prana.resilience.classify, for speed


class _CallerGone(Exception):
    """The caller hung up, or stopped reading its answer."""


class Edge(Protocol):
    """What a connection needs of the server it belongs to."""

    clock: Callable[[], float]
    lines: FieldLines
    date: bytes
    draining: bool
    min_upload_rate: int  # bytes a second; 0: any

    @property
    def handle(self) -> Handler: ...
    def closed(self, connection: "DownstreamConnection") -> None: ...
    def is_own(self, link: Link) -> bool: ...


class DownstreamConnection(asyncio.Protocol):
    """Answers leave in the order of the requests (RFC 9112 section 9.3.2)."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._intake = Intake()
        self._reader = RequestReader(
            edge.lines,
            self._new_request,
            self._enqueue,
            self._intake.pause,
            self._intake.resume,
            self._send_continue,
            lambda authority: is_own(authority, self._link[1][0]),
            self._hold,
        )
        self._transport: asyncio.Transport = None  # type: ignore[assignment] # set before anything else can run
        self._waiting: deque[Request] = deque()
        self._active: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._unread: deque[bytes] = deque()  # received, not yet parsed
        self._next_turn: asyncio.Handle | None = None  # in which it is read on
        self._held = False  # reading is paused because of pipelined requests
        self._holding = False  # nothing is parsed behind a handshake until it is answered
        self._in_head = False
        self._gate = WriteGate()
        self._head_sent = False
        self._half_closed = False
        self._lingering = False
        self._tunnel: Tunnel | None = None
        self._probe: asyncio.TimerHandle | None = None
        self._expires_s: float | None = None  # of idling, of an incomplete head, of lingering; None while serving
        self._pace: Pace | None = None  # of the body that was arriving at the last look
        self._link: Link = (("", 0), ("", 0))  # empty over a Unix socket
        self._caller_ip = b""
        self._looped: bool | None = None
        self._from_loopback = True

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # uvloop transports do not inherit from asyncio's
        self._intake.transport = self._transport
        here, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if isinstance(here, tuple):
            peer = peer or ("", 0)  # it has reset the connection already
            self._link = (peer[:2], here[:2])
            self._caller_ip = peer[0].encode()
            self._from_loopback = peer[0] == "::1" or peer[0].removeprefix("::ffff:").startswith("127.")
        self._expires_s = self._edge.clock() + KEEP_ALIVE_TIMEOUT_S

    def data_received(self, data: bytes) -> None:
        if not self._lingering:
            self._unread.append(data)
            self._read_on()

    def eof_received(self) -> bool:
        """FIN after a complete request: finish the answer, then close. FIN within one: nobody can want an answer."""
        self._half_closed = True
        if self._active is None:
            return False
        body = self._reader.body
        if body is not None:
            if body is self._active.body:
                return False
            self._reader.refuse(BadRequest("the connection was closed within the request"))
        self._probe = asyncio.get_running_loop().call_later(_PROBE_AFTER_S, self._probe_caller, _PROBE_AFTER_S)
        return True

    def _probe_caller(self, again_s: float) -> None:
        if self._active is not None:
            self._write_interim(_CONTINUE)
            self._probe = asyncio.get_running_loop().call_later(again_s, self._probe_caller, _PROBE_EVERY_S)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._probe is not None:
            self._probe.cancel()
        self._lingering = True
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
        self._edge.closed(self)

    def pause_writing(self) -> None:
        self._gate.close()

    def resume_writing(self) -> None:
        self._gate.open()

    # reading

    def _read_on(self) -> None:
        """Parse what has arrived, one feed at a time, and no further while `MAX_PIPELINED` requests wait. What is too
        much for one turn of the loop is read on in the next."""
        if self._next_turn is not None:
            return
        reader = self._reader
        reader.enough = len(self._waiting) >= MAX_PIPELINED
        while self._unread and not reader.enough and not self._holding:
            data = self._unread.popleft()
            if len(data) > FEED_BYTES and not reader.in_body:
                self._unread.appendleft(data[FEED_BYTES:])
                data = data[:FEED_BYTES]
            if rest := reader.feed(data):
                self._unread.appendleft(rest)
        if reader.enough and len(self._waiting) < MAX_PIPELINED:
            self._next_turn = asyncio.get_running_loop().call_soon(self._in_next_turn)
        if bool(self._unread) is not self._held:
            self._held = not self._held
            (self._intake.pause if self._held else self._intake.resume)()
        if self._reader.in_head and self._active is None and not self._in_head:
            self._expires_s = self._edge.clock() + HEAD_TIMEOUT_S  # from its first byte, not from its latest
        self._in_head = self._reader.in_head

    def _in_next_turn(self) -> None:
        self._next_turn = None
        if not self._lingering and not self._transport.is_closing():
            self._read_on()

    def _hold(self, rest: bytes) -> None:
        """`rest` and what comes after it is behind a handshake: no request, unless the handshake fails."""
        self._holding = True
        if rest:
            self._unread.appendleft(rest)

    def _new_request(self, method: bytes, target: bytes, headers: Headers) -> Request:
        request = Request(method, target, headers, self._edge.clock())
        request.caller_ip = self._caller_ip
        request.proxy_port = self._link[1][1]
        request.from_loopback = self._from_loopback
        if self._looped is None:  # now that it is used: when it was accepted, its other end was not known yet
            self._looped = self._edge.is_own(self._link)
        request.looped = self._looped
        request.send_interim = self._send_interim
        return request

    # serving

    def _enqueue(self, request: Request) -> None:
        if self._active is None:
            self._start(request)
        else:
            self._waiting.append(request)
            self._reader.enough = len(self._waiting) >= MAX_PIPELINED

    def _start(self, request: Request) -> None:
        self._active = request
        request.received_s = self._edge.clock()  # it may have waited for the answers before its own
        self._head_sent = False
        self._expires_s = None
        self._task = asyncio.get_running_loop().create_task(self._serve(request))

    async def _serve(self, request: Request) -> None:
        response: Response | None = None
        end, keep_alive = _ABANDONED, False
        try:
            response = await self._edge.handle(request)
            if response.status == SWITCHING_PROTOCOLS:
                end = await self._switch(request, response)
                return
            framing, chunked, keep_alive = _framing(request, response, self._keep_alive(request))
            head = response_head(response, request.request_id, framing, self._edge.date)
            self._head_sent = True
            if isinstance(response.body, bytes):
                self._write(head if _bodiless(request, response) else head + response.body)
            else:
                await self._stream(head, response, response.body, chunked, request.idle_timeout_s)
            # Also after the last byte: a caller that sends requests and reads no answers would fill our memory.
            if self._gate.closed:
                await self._drained(request.idle_timeout_s)
            end = _COMPLETE
        except _CallerGone:
            pass  # it gets no more, and if it is there at all it learns that by the reset below
        except (ProxyError, TimeoutError):
            end = End.BROKEN  # cut off below, where both ends can see it
        finally:
            if response is not None:
                response.finish(end)
            self._active = self._task = None
            if end is _COMPLETE:
                self._after(request, keep_alive)
            else:
                reset(self._transport)  # visibly: an answer cut short must not look complete

    def _keep_alive(self, request: Request) -> bool:
        return (
            request.keep_alive
            and not self._edge.draining
            and not _still_sending(request)
            and not self._sent_behind_handshake
        )

    @property
    def _sent_behind_handshake(self) -> bool:
        """Bytes of a caller that did not wait for the answer to its handshake. Once that has failed they are its next
        request to a server, and perhaps frames to the caller: nobody shall read them."""
        return self._holding and bool(self._unread) and not self._waiting

    async def _switch(self, request: Request, response: Response) -> End:
        """Pass the 101 on, and the bytes of both sides until both connections are gone."""
        assert request.upgrade is not None and request.upgrade.tunnel is not None  # noqa: S101 - no other 101
        head = response_head(response, request.request_id, b"\r\n" + SWITCH_LINES, self._edge.date)
        early = b"".join(self._unread)
        self._unread.clear()
        self._head_sent = True
        self._tunnel = request.upgrade.tunnel
        try:
            return await self._tunnel.run(
                self._transport, head, early, self._half_closed, request.upgrade.idle_timeout_s
            )
        finally:
            self._task = None  # which is this one: nothing is left to cancel
            self.connection_lost(None)

    async def _stream(
        self, head: bytes, response: Response, body: BodyStream, chunked: bool, idle_timeout_s: float
    ) -> None:
        data = body.take()
        if body.whole:  # the usual case: one write for the whole answer
            self._write(head + (chunk(data) + _last_chunk(response, body) if chunked else data))
            return
        while head or data:
            self._check_open()
            write_piece(self._transport, head, data, chunked=chunked)
            del data  # only the transport holds it now
            await self._drained(idle_timeout_s)
            head, data = b"", await body.read(idle_timeout_s)
        if chunked:
            self._write(_last_chunk(response, body))

    def _write(self, data: bytes) -> None:
        self._check_open()
        self._transport.write(data)

    def _check_open(self) -> None:
        if self._transport.is_closing():  # uvloop refuses to write then; `connection_lost` may be still to come
            raise _CallerGone

    async def _drained(self, timeout_s: float) -> None:
        """Wait while too much is written and unread; every stretch of `timeout_s` must see some of it read."""
        while self._gate.closed:
            unread = unread_bytes(self._transport)
            try:
                await self._gate.passed(min(timeout_s, WRITE_STALL_TIMEOUT_S))
            except TimeoutError:
                if self._transport.is_closing() or unread - unread_bytes(self._transport) < WRITE_STALL_BYTES:
                    raise _CallerGone from None

    def _after(self, request: Request, keep_alive: bool) -> None:
        """The answer is written: serve the next request, or close so that the caller still reads the answer."""
        if self._transport.is_closing():
            return
        if keep_alive and not self._sent_behind_handshake:  # as the answer said; while draining the next says `close`
            if request.body is not None:
                request.body.discard()  # an unread one would keep the connection paused for the next request
            if self._waiting:
                self._start(self._waiting.popleft())
            elif self._half_closed:
                self._close()
                return
            else:
                self._holding = False
                self._expires_s = self._edge.clock() + (HEAD_TIMEOUT_S if self._in_head else KEEP_ALIVE_TIMEOUT_S)
            if self._unread or self._held:
                self._read_on()
        elif not self._half_closed and (request.malformed is not None or self._unread or _still_sending(request)):
            self._linger()
        else:
            self._close()

    def _close(self) -> None:
        """End after what is written has been read, or when that takes too long."""
        self._lingering = True
        self._expires_s = self._edge.clock() + KEEP_ALIVE_TIMEOUT_S
        self._transport.close()

    def _linger(self) -> None:
        """RFC 9112 section 9.6: closing on a caller that still sends would make its TCP discard our answer."""
        self._lingering = True
        self._unread.clear()
        self._expires_s = self._edge.clock() + LINGER_TIMEOUT_S
        self._transport.write_eof()
        self._intake.resume_for_good()

    def _send_continue(self) -> None:
        self._write_interim(_CONTINUE)

    def _send_interim(self, status: int, reason: bytes, headers: Headers) -> None:
        self._write_interim(interim_head(status, reason, headers))

    def _write_interim(self, head: bytes) -> None:
        """Only before the answer, and never to HTTP/1.0 (RFC 9110 section 15.2)."""
        wanted = self._active is not None and not self._active.http10 and not self._head_sent
        if wanted and not self._transport.is_closing():
            self._transport.write(head)

    # the server's clockwork

    def expire(self, now_s: float) -> None:
        """Called once in a while: ends what has waited for this caller too long."""
        if self._tunnel is not None:
            self._tunnel.expire(now_s)
        if self._reader.in_body:
            self._judge_pace(now_s)
        if self._expires_s is None or now_s < self._expires_s:
            return
        if self._reader.in_head and not self._lingering:
            self._reader.refuse(BadRequest("the request head took too long", status=408))
        else:
            self._transport.abort()

    def _judge_pace(self, now_s: float) -> None:
        body, least = self._reader.body, self._edge.min_upload_rate
        if body is None or not least:
            return
        if self._pace is None or self._pace.body is not body:
            self._pace = Pace(body, now_s, body.received_bytes)
        if not self._pace.keeps_up(now_s, least, held_back=self._intake.paused or body.awaits_continue):
            self._reader.refuse(BadRequest(f"the request body came slower than {least} bytes a second", status=408))

    @property
    def serving(self) -> bool:
        return self._active is not None

    def close_if_idle(self, now_s: float) -> None:
        """For draining: ends a connection that nothing has happened on for DRAIN_IDLE_S, nor is about to."""
        idle = self._active is None and not self._lingering and not self._reader.in_head
        if idle and self._expires_s is not None:
            used_s = self._expires_s - KEEP_ALIVE_TIMEOUT_S
            if now_s - used_s >= DRAIN_IDLE_S and not _has_unread(self._transport):
                self._close()

    def abort(self) -> None:
        if self._transport is not None:  # else it has only just been accepted, and ends with the process
            self._transport.abort()


def _has_unread(transport: asyncio.Transport) -> bool:
    """Whether the kernel holds bytes of the caller that we have not seen yet."""
    sock = transport.get_extra_info("socket")
    if sock is None or transport.is_closing():
        return False
    return fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)) != bytes(4)


def _still_sending(request: Request) -> bool:
    """Whether the caller is still sending this request."""
    return request.body is not None and not request.body.ended


def _bodiless(request: Request, response: Response) -> bool:
    return request.method == b"HEAD" or response.status in _BODILESS


def _framing(request: Request, response: Response, keep_alive: bool) -> tuple[bytes, bool, bool]:
    """Framing header lines, whether the body is chunked, and whether the connection stays (RFC 9112 section 6)."""
    bodiless = _bodiless(request, response)
    length = response.content_length
    if isinstance(response.body, bytes) and (response.body or not bodiless):
        length = len(response.body)
    lines, chunked = b"", False
    if length is not None and response.status != 204:
        lines = b"\r\nContent-Length: %d" % length
    elif not bodiless and request.http10:
        keep_alive = False  # delimited by the close, so without a trailer section
        response.headers = [field for field in response.headers if field.lower != b"trailer"]
    elif not bodiless:
        lines, chunked = b"\r\nTransfer-Encoding: chunked", True
    if not keep_alive:
        lines += b"\r\nConnection: close"
    return lines, chunked, keep_alive


def _last_chunk(response: Response, body: BodyStream) -> bytes:
    return last_chunk(body.trailers, nominated(response.headers)) if body.trailers else LAST_CHUNK

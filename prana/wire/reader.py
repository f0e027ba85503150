"""Bytes of a caller in, requests out: parsing and strict checking, no I/O.

Strictness is the policy: what two parsers could read differently is refused (http smuggling), and nothing is
repaired. llhttp in its strict mode refuses most; the rest is checked here.
"""

import re
from collections.abc import Callable
from typing import Final

import httptools

from prana.errors import BadRequest, ProxyError
from prana.request import Headers, Request
from prana.wire.body import BodyStream
from prana.wire.headers import connection_tokens, valid_host
from prana.wire.limits import CHUNK_OVERHEAD_BYTES, MAX_HEAD_BYTES, MAX_HEADERS, MAX_LINE_BYTES
from prana.wire.upgrade import offered

_TARGET: Final = re.compile(rb"[!-~]+")
# The rest of what RFC 3986 wants encoded, as in a raw JSON query, is common and reads the same everywhere.
_REFUSED_IN_TARGET: Final = frozenset(b"\\#")
# CONNECT and TRACE are known and refused; the others are RTSP's, whose requests llhttp reads, too.
_REFUSED_METHODS: Final = {
    b"CONNECT": 405, b"TRACE": 405,
    b"ANNOUNCE": 501, b"DESCRIBE": 501, b"FLUSH": 501, b"GET_PARAMETER": 501, b"PAUSE": 501, b"PLAY": 501,
    b"RECORD": 501, b"REDIRECT": 501, b"SETUP": 501, b"SET_PARAMETER": 501, b"TEARDOWN": 501,
}  # fmt: skip
_MAX_HOPS_DIGITS: Final = 9


class RequestReader:
    """Calls `on_request` once per request, when its head is complete; the body follows through `request.body`.

    A message that is no request becomes a request whose `malformed` says why; nothing is read after it
    (`finished`). `pause` and `resume` hold the producer while a body is not being consumed, `send_continue` runs
    when the consumer first waits for a body announced with `Expect: 100-continue`. Behind a handshake `hold` is called
    with the rest of what was fed, and the reader goes on with what it is fed next.
    """

    def __init__(
        self,
        new_request: Callable[[bytes, bytes, Headers], Request],
        on_request: Callable[[Request], None],
        pause: Callable[[], None],
        resume: Callable[[], None],
        send_continue: Callable[[], None],
        is_own: Callable[[bytes], bool],
        hold: Callable[[bytes], None],
    ) -> None:
        """`is_own` tells whether an authority is one of ours."""
        self._new_request = new_request
        self._on_request = on_request
        self._pause = pause
        self._resume = resume
        self._send_continue = send_continue
        self._is_own = is_own
        self._hold = hold
        self._parser = self._new_parser()
        self._request: Request | None = None  # its head is complete, its message is not
        self._reframing = False
        self._in_handshake = False  # its head is complete, the parser has not stopped behind it yet
        self._quiet_bytes = 0  # fed since the parser last produced something: bounds what it hides from us
        self.finished = False  # no further message will be read
        self.in_head = False
        self._start_head()

    @property
    def in_body(self) -> bool:
        return self._request is not None

    @property
    def body(self) -> BodyStream | None:
        """The body that is arriving."""
        return self._request.body if self._request is not None else None

    def feed(self, data: bytes) -> None:
        """Never raises; bytes after the last message are ignored."""
        while data and not self.finished:
            self._quiet_bytes += len(data)
            rest = b""
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                rest = data[upgrade.args[0] :]
                if self._in_handshake:
                    self._in_handshake = False
                    self._hold(rest)
                    return
                self._pass_over_upgrade()
            except httptools.HttpParserError as error:
                if not self.finished:
                    self.refuse(_explained(error))
                return
            if self._quiet_bytes > MAX_HEAD_BYTES:
                self.refuse(
                    BadRequest(f"a head, trailer or chunk extensions of over {MAX_HEAD_BYTES} bytes", status=431)
                )
            elif self._quiet_bytes < 0:
                self._quiet_bytes = 0
            data = rest

    def refuse(self, error: BadRequest) -> None:
        """Read no further: a body in progress fails, anything else becomes a request that is `malformed`."""
        self.finished = True
        self.in_head = False
        request, self._request = self._request, None
        if request is None:
            request = self._new_request(b"", b"", [])
            request.malformed = error
            request.keep_alive = False
            self._on_request(request)
        elif request.body is not None:
            request.body.fail(error)

    def _pass_over_upgrade(self) -> None:
        """Go on as if no upgrade had been offered (RFC 9110 section 7.8: a server may ignore it).

        llhttp takes all that follows such a head for another protocol, also the request's own body, and Java's
        HttpClient offers h2c on requests with bodies. So a parser that is told the same framing reads on.
        """
        request = self._request
        if request is None:
            return  # no body: httptools has set the parser to the next message
        framing = (
            b"Transfer-Encoding: chunked"
            if request.content_length is None
            else b"Content-Length: %d" % request.content_length
        )
        self._parser = self._new_parser()
        self._reframing = True
        self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        self._reframing = False

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_version=True)  # versions are ours to judge: RFC 9110 section 2.5
        return parser

    # httptools callbacks

    def _start_head(self) -> None:
        self._target = b""
        self._headers: Headers = []
        self._head_bytes = 0
        self._hosts: list[bytes] = []
        self._connection: list[bytes] = []
        self._expect: bytes | None = None
        self._content_length: int | None = None
        self._coding: bytes | None = None
        self._lookalike = b""
        self._via_count = 0
        self._explain = False
        self._max_forwards: bytes | None = None
        self._named_service: bytes | None = None

    def on_message_begin(self) -> None:
        if self.finished:
            raise BadRequest("bytes after the last message")  # goes nowhere; it stops the parser
        if not self._reframing:
            self._start_head()
            self.in_head = True

    def on_url(self, part: bytes) -> None:
        if not self._reframing:
            self._target += part
            if len(self._target) > MAX_LINE_BYTES:
                raise BadRequest(f"a request target longer than {MAX_LINE_BYTES} bytes", status=414)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._request is not None:
            if not self._reframing:
                self._add_trailer(self._request, name, value)
            return
        size_bytes = len(name) + len(value)
        self._head_bytes += size_bytes
        if size_bytes > MAX_LINE_BYTES or self._head_bytes > MAX_HEAD_BYTES or len(self._headers) >= MAX_HEADERS:
            raise _too_large()
        self._headers.append((name, value))
        if (note := _NOTED.get(name.lower())) is not None:
            note(self, value.rstrip(b" \t"))  # RFC 9110 section 5.5; llhttp strips only what is before a value

    def _add_trailer(self, request: Request, name: bytes, value: bytes) -> None:
        """Within the same limits as the head, whose bytes count too."""
        assert request.body is not None  # noqa: S101 - only chunked bodies have trailers
        trailers = request.body.trailers
        size_bytes = len(name) + len(value)
        self._head_bytes += size_bytes
        if size_bytes > MAX_LINE_BYTES or self._head_bytes > MAX_HEAD_BYTES or len(trailers) >= MAX_HEADERS:
            raise _too_large()
        trailers.append((name, value))

    def on_headers_complete(self) -> None:
        self._quiet_bytes = 0
        if self._reframing:
            return
        self.in_head = False
        method = self._parser.get_method()
        request = self._new_request(method, self._target, self._headers)
        version = self._parser.get_http_version()
        request.http10 = version == "1.0"
        # RFC 9112 section 9.3: a proxy must not keep connections of HTTP/1.0 callers, whatever they ask for.
        request.keep_alive = self._parser.should_keep_alive() and not request.http10
        request.via_count = self._via_count
        request.explain = self._explain and request.from_loopback
        request.named_service = self._named_service
        if self._hosts:
            request.host = self._hosts[0]
        try:
            if version != "1.1":
                _check_version(version)
            self._check(request)
        except BadRequest as error:
            request.malformed = error
            request.keep_alive = False
        if self._coding is not None or self._content_length:
            on_demand = self._send_continue if self._expect is not None and not request.http10 else None
            request.body = BodyStream(self._pause, self._resume, on_demand)
        request.content_length = self._content_length if self._coding is None else None
        self._request = request
        self._on_request(request)

    def on_body(self, data: bytes) -> None:
        # Go's rule (net/http/internal/chunked.go): twice the data and a bit for each chunk may be framing.
        self._quiet_bytes -= CHUNK_OVERHEAD_BYTES + 3 * len(data)
        if self._request is not None and self._request.body is not None:
            self._request.body.feed(data)

    def on_message_complete(self) -> None:
        request = self._request
        if request is None or (request.body is not None and self._parser.should_upgrade()):
            return  # the body that llhttp skipped is still to come: _pass_over_upgrade
        self._quiet_bytes = 0
        self._request = None
        if not request.keep_alive:
            self.finished = True
        if request.body is not None:
            request.body.end()

    # checks

    def _check(self, request: Request) -> None:
        if (status := _REFUSED_METHODS.get(request.method)) is not None:
            raise BadRequest(f"{request.method.decode()} is not served", status=status)
        if self._lookalike:
            raise BadRequest(f"header {self._lookalike.decode()} looks like a framing header")
        self._check_framing(request)
        self._check_target(request)
        if len(self._hosts) > 1 or (not self._hosts and not request.http10):
            raise BadRequest(f"one Host header is required, {len(self._hosts)} were sent")
        if self._hosts and not valid_host(self._hosts[0]):
            raise BadRequest("the Host header is not a host and port")
        if self._expect is not None and not request.http10 and self._expect.lower() != b"100-continue":
            raise BadRequest("the only expectation served is 100-continue", status=417)
        if self._connection:
            request.connection_tokens = connection_tokens(b",".join(self._connection))
            if b"upgrade" in request.connection_tokens:
                self._note_offer(request)
        if self._max_forwards is not None and request.method == b"OPTIONS":
            request.max_forwards = _hops(self._max_forwards)

    def _note_offer(self, request: Request) -> None:
        """Only what makes llhttp stop behind the head, and has no body that it would take for another protocol."""
        if self._parser.should_upgrade() and self._coding is None and not self._content_length:
            request.upgrade = offered(request)
            self._in_handshake = request.upgrade is not None

    def _check_framing(self, request: Request) -> None:
        if self._coding is None:
            return
        if request.http10:
            raise BadRequest("Transfer-Encoding in an HTTP/1.0 request")  # RFC 9112 section 6.1: faulty framing
        *others, last = (coding.strip(b" \t") for coding in self._coding.lower().split(b","))
        if last != b"chunked":
            raise BadRequest("chunked must be the final transfer coding")  # RFC 9112 section 6.3
        if others:
            raise BadRequest("the only transfer coding served is chunked", status=501)

    def _check_target(self, request: Request) -> None:
        target = request.target
        if _TARGET.fullmatch(target) is None or not _REFUSED_IN_TARGET.isdisjoint(target):
            raise BadRequest(
                "the request target has a space, control or non-ASCII character, \\ or #; percent-encode it"
            )
        if target[:1] == b"/" or (target == b"*" and request.method == b"OPTIONS"):
            return
        scheme, separator, rest = target.partition(b"://")
        if scheme.lower() != b"http" or not separator:
            raise BadRequest("the request target must start with / or http://")
        end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
        if not valid_host(rest[:end]):
            raise BadRequest("the request target has no valid host")
        if not self._is_own(rest[:end]):
            raise BadRequest("the request target names another host, and this is no forward proxy")
        request.host = rest[:end]  # RFC 9112 section 3.2.2: it overrides the Host header
        path = rest[end:]
        if not path and request.method == b"OPTIONS":
            request.target = b"*"  # RFC 9112 section 3.2.4
        else:
            request.target = path if path[:1] == b"/" else b"/" + path

    def _note_host(self, value: bytes) -> None:
        self._hosts.append(value)

    def _note_connection(self, value: bytes) -> None:
        self._connection.append(value)

    def _note_expect(self, value: bytes) -> None:
        self._expect = value if self._expect is None else self._expect + b"," + value

    def _note_content_length(self, value: bytes) -> None:
        self._content_length = int(value)  # llhttp lets only one, of digits that fit 64 bits, pass

    def _note_coding(self, value: bytes) -> None:
        self._coding = value if self._coding is None else self._coding + b"," + value

    def _note_via(self, value: bytes) -> None:
        self._via_count += value.count(b" prana")

    def _note_explain(self, value: bytes) -> None:
        self._explain = value == b"1"

    def _note_max_forwards(self, value: bytes) -> None:
        self._max_forwards = value if self._max_forwards is None else self._max_forwards + b"," + value

    def _note_service(self, value: bytes) -> None:
        self._named_service = value if self._named_service is None else self._named_service + b"," + value

    def _note_content_length_lookalike(self, value: bytes) -> None:
        self._lookalike = b"Content_Length"

    def _note_coding_lookalike(self, value: bytes) -> None:
        self._lookalike = b"Transfer_Encoding"


_NOTED: Final[dict[bytes, Callable[[RequestReader, bytes], None]]] = {
    b"host": RequestReader._note_host,
    b"connection": RequestReader._note_connection,
    b"expect": RequestReader._note_expect,
    b"content-length": RequestReader._note_content_length,
    b"transfer-encoding": RequestReader._note_coding,
    b"via": RequestReader._note_via,
    b"max-forwards": RequestReader._note_max_forwards,
    b"x-prana-explain": RequestReader._note_explain,
    b"x-prana-service": RequestReader._note_service,
    # CGI-style gateways read an underscore as a dash, so these smuggle framing past us.
    b"content_length": RequestReader._note_content_length_lookalike,
    b"transfer_encoding": RequestReader._note_coding_lookalike,
}


def _too_large() -> BadRequest:
    limits = f"{MAX_HEADERS} header lines, {MAX_LINE_BYTES} bytes in one or {MAX_HEAD_BYTES} in all"
    return BadRequest(f"more than {limits}", status=431)


def _check_version(version: str) -> None:
    """A higher minor version is served as 1.1 (RFC 9110 section 2.5)."""
    if version == "0.9":  # llhttp's word for a request line without a version
        raise BadRequest("the request line has no HTTP version that is served")
    if not version.startswith("1."):
        raise BadRequest("only HTTP/1.0 and HTTP/1.1 are served", status=505)


def _hops(max_forwards: bytes) -> int:
    """RFC 9110 section 7.6.2; a number of sane length."""
    if not max_forwards.isdigit() or len(max_forwards) > _MAX_HOPS_DIGITS:
        raise BadRequest("Max-Forwards is not a number")
    return int(max_forwards)


def _explained(error: httptools.HttpParserError) -> BadRequest:
    """What the parser refused, in the contract's statuses."""
    cause = error.__context__
    if isinstance(cause, BadRequest):
        return cause
    if isinstance(cause, ProxyError):
        return BadRequest(cause.detail)
    text = str(error)
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return BadRequest("unknown method", status=501)
    if text == "Invalid HTTP version":
        return BadRequest("only HTTP/1.0 and HTTP/1.1 are served", status=505)
    return BadRequest(f"not a valid HTTP/1.1 request: {text}")

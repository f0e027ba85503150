"""How independent parsers read the bytes that leave the proxy: h11, which is written from the RFC, and httptools."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import h11
import httptools

Headers = list[tuple[bytes, bytes]]

_ROOM_BYTES = 1 << 20  # h11's own limit on a head is below ours


@dataclass
class Message:
    """A message as one parser read it. What a request has no use for stays empty, and the other way round."""

    method: bytes = b""
    target: bytes = b""
    status: int = 0
    reason: bytes = b""
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    trailers: Headers = field(default_factory=list)
    complete: bool = False
    interims: list[int] = field(default_factory=list)
    excess: bytes = b""  # what follows the message

    def values(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.headers if each.lower() == name]


def read_request(data: bytes) -> Message:
    """The one request in what reached an instance. Anything else there is a fault of ours, and an assertion error."""
    try:
        message = Message()
        _request(data, message)
    except h11.RemoteProtocolError as error:
        raise AssertionError(f"h11 refuses what was sent on: {error}: {data!r}") from error
    assert not message.excess, f"more than one request where one was sent on: {data!r}"
    return message


def read_requests(data: bytes) -> list[Message]:
    """The requests in the bytes of a caller, up to what h11 refuses.

    Line ends before a request are passed over (RFC 9112 section 2.2), which h11 leaves to others.
    """
    messages: list[Message] = []
    with contextlib.suppress(h11.RemoteProtocolError):
        while data := data.lstrip(b"\r\n"):
            messages.append(Message())
            _request(data, messages[-1])
            data = messages[-1].excess
    return [message for message in messages if message.method]


def _request(data: bytes, message: Message) -> None:
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=_ROOM_BYTES)
    if data:  # an empty piece would tell h11 of the end
        server.receive_data(data)
    while (event := server.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
        if isinstance(event, h11.Request):
            message.method, message.target, message.headers = event.method, event.target, event.headers.raw_items()
        elif isinstance(event, h11.Data):
            message.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            message.complete, message.trailers = True, event.headers.raw_items()
            message.excess = server.trailing_data[0]
            break


class _Httptools:
    """Collects the requests that httptools finds."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self.messages.append(Message())

    def on_url(self, part: bytes) -> None:
        self.messages[-1].target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        message = self.messages[-1]
        (message.trailers if message.method else message.headers).append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.messages[-1].method = self.parser.get_method()

    def on_body(self, data: bytes) -> None:
        self.messages[-1].body += data

    def on_message_complete(self) -> None:
        self.messages[-1].complete = True


def httptools_request(data: bytes) -> Message | None:
    """The one request in what reached an instance, as httptools reads it; None when it does not know the method."""
    reader = _Httptools()
    try:
        reader.parser.feed_data(data)
    except httptools.HttpParserInvalidMethodError:
        return None
    assert len(reader.messages) == 1, data
    return reader.messages[0]


def read_answers(data: bytes, methods: Sequence[bytes], *, closed: bool = False) -> list[Message]:
    """The answers in what reached a caller that sent requests of these methods. Nonsense is an assertion error."""
    answers: list[Message] = []
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=_ROOM_BYTES)
    if data:
        client.receive_data(data)
    if closed:
        client.receive_data(b"")
    try:
        for method in methods:
            client.send(h11.Request(method=method or b"GET", target=b"/", headers=[("Host", "a")]))
            client.send(h11.EndOfMessage())
            answer = _answer(client)
            if answer is None:
                break
            answers.append(answer)
            if client.our_state is not h11.DONE or client.their_state is not h11.DONE:
                break
            client.start_next_cycle()
    except h11.RemoteProtocolError as error:
        raise AssertionError(f"h11 refuses the answer: {error}: {data!r}") from error
    assert not client.trailing_data[0], data
    return answers


def read_response(data: bytes, method: bytes) -> Message | None:
    """What an instance that then closes answers to one request, by the RFC; None when it is not a whole answer."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=_ROOM_BYTES)
    client.send(h11.Request(method=method, target=b"/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    if data:
        client.receive_data(data)
    client.receive_data(b"")
    try:
        answer = _answer(client)
    except h11.RemoteProtocolError:
        return None
    if answer is not None:
        answer.excess = client.trailing_data[0]
    return answer


def _answer(client: h11.Connection) -> Message | None:
    answer: Message | None = None
    interims: list[int] = []
    while (event := client.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
        if isinstance(event, h11.InformationalResponse):
            interims.append(event.status_code)
        elif isinstance(event, h11.Response):
            answer = Message(
                status=event.status_code, reason=event.reason, headers=event.headers.raw_items(), interims=interims
            )
        elif isinstance(event, h11.Data):
            assert answer is not None
            answer.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert answer is not None
            answer.complete, answer.trailers = True, event.headers.raw_items()
            break
        else:
            break
    return answer

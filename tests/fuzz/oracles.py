"""Laws that hold for any bytes at all, of a caller and of an instance.

1. Nothing but an answer comes of them: no exception leaves the wire.
2. However the bytes are cut on their way, the same requests, bodies, answers and refusals come of them. Only the bounds
   on what the parser keeps to itself count what arrives at once, so the law is for messages below those.
3. What was accepted leaves as exactly one message, which h11 and httptools read alike, and with the meaning that h11
   gives to the bytes as they came in. That is what request smuggling and response splitting would break.
4. What is held and sent on is bounded.
"""

import asyncio
import re
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from prana.request import Request, Response
from prana.wire.limits import MAX_HEAD_BYTES, MAX_HEADERS, MAX_INTERIM_RESPONSES, MAX_LINE_BYTES
from tests.fuzz.memory import Caller, Instance, pieces, quiet
from tests.fuzz.readers import Message, httptools_request, read_answers, read_request, read_requests, read_response
from tests.wire.conftest import pairs

HOP_BY_HOP = {
    *(b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization"),
    *(b"te", b"transfer-encoding", b"upgrade"),
}
OURS_TO_INSTANCE = {
    *(b"host", b"via", b"x-request-id", b"content-length", b"transfer-encoding", b"max-forwards", b"te", b"connection"),
    *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"),
    b"x-envoy-expected-rq-timeout-ms",
}
OURS_TO_CALLER = {b"date", b"x-request-id", b"content-length", b"transfer-encoding", b"connection"}
ORDERS_TO_US = {b"x-prana-attempts", b"x-prana-explain", b"x-prana-fallback", b"x-prana-instance", b"x-prana-service"}
NOT_FORWARDED = {*HOP_BY_HOP, *OURS_TO_INSTANCE, *ORDERS_TO_US, b"expect"}
NOT_IN_TRAILERS = {
    *HOP_BY_HOP,
    *OURS_TO_INSTANCE,
    *ORDERS_TO_US,
    b"expect",
    b"trailer",
    b"set-cookie",
    b"authorization",
}
NOT_RETURNED = {*HOP_BY_HOP, *OURS_TO_CALLER}
KEPT_FOR_THE_CALLER = {b"content-length", b"content-type", b"content-encoding", b"set-cookie"}  # whatever is nominated
OWN_LINES_BYTES = 2048  # what we add to a head, with room
CUTS_MATTER_BYTES = MAX_LINE_BYTES
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
# llhttp passes over these, h11 does not. They cannot become part of anybody's answer.
_LINE_ENDS_BETWEEN = re.compile(rb"(\A|\r\n\r\n)[\r\n]")

Result = TypeVar("Result")


def run(work: Awaitable[Result], loop: asyncio.AbstractEventLoop) -> Result:
    """Run this on the loop; what nobody caught is raised."""
    unhandled: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    result = loop.run_until_complete(work)
    assert not unhandled, unhandled
    return result


# what a caller sends


def check_requests(data: bytes, cuts: Sequence[int], loop: asyncio.AbstractEventLoop) -> None:
    """The laws, for the bytes of a caller."""
    served = run(_serve(data, ()), loop)
    if len(data) < CUTS_MATTER_BYTES:
        assert run(_serve(data, cuts), loop) == served, f"cut at {cuts} it is something else"
    answered = served.statuses.count(200)
    assert answered == sum(sent.complete for sent in served.reached)
    for at, (request, sent) in enumerate(zip(served.accepted, served.reached, strict=True)):
        assert sent.complete or at == answered == len(served.reached) - 1, "only the last may break off"
        _check_forwarded(request, sent)
    _check_meaning(data, served.reached)


@dataclass
class Served:
    """What came of a caller's bytes."""

    accepted: list[Request] = field(default_factory=list, compare=False)
    reached: list[Message] = field(default_factory=list)  # the instances, as h11 read it
    statuses: list[int] = field(default_factory=list)  # of the answers, as h11 read them
    ended: str = ""


async def _serve(data: bytes, cuts: Sequence[int]) -> Served:
    served = Served()
    instances: list[Instance] = []

    async def exchange(request: Request) -> Response:
        served.accepted.append(request)
        instances.append(Instance())
        return await instances[-1].exchange(request)

    caller = Caller(exchange)

    async def settle() -> None:
        answered = -1
        while answered < len(instances):
            await quiet(lambda: (caller.received, caller.ended, [instance.received for instance in instances]))
            answered = len(instances)
            if instances and not instances[-1].connection.answered and read_request(instances[-1].received).complete:
                instances[-1].transport.deliver(ANSWER)
                answered = -1

    for piece in pieces(data, cuts):
        caller.transport.deliver(piece)
        await settle()
    served.ended = caller.ended
    caller.transport.finish()
    await settle()
    caller.transport.abort()
    await quiet(lambda: None)
    for instance in instances:
        sent = read_request(instance.received)
        # Of use only while the body is held back, which depends on the cuts.
        assert sent.values(b"expect") in ([], [b"100-continue"])
        if sent.complete:
            assert httptools_request(instance.received) in (sent, None)
        else:
            sent.body, sent.trailers = b"", []  # how much of it went out before the fault was seen depends on the cuts
        sent.headers = [header for header in sent.headers if header[0].lower() != b"expect"]
        served.reached.append(sent)
        instance.transport.abort()
    await quiet(lambda: None)
    methods = [request.method for request in caller.requests]
    served.statuses = [answer.status for answer in read_answers(caller.received, methods)]
    return served


def _check_forwarded(request: Request, sent: Message) -> None:
    """What reached the instance is what was accepted, without what concerns only the connection."""
    assert (sent.method, sent.target) == (request.method, request.target)
    assert len(sent.headers) <= MAX_HEADERS + len(OURS_TO_INSTANCE)
    sizes = [len(name) + len(value) for name, value in sent.headers]
    assert sum(sizes) <= MAX_HEAD_BYTES + MAX_LINE_BYTES + OWN_LINES_BYTES
    assert len(sent.target) <= MAX_LINE_BYTES
    nominated = _nominated(pairs(request.headers))
    names = {name.lower() for name, _ in sent.headers}
    assert not names & (nominated | HOP_BY_HOP) - OURS_TO_INSTANCE
    expected = [
        (name, value.strip(b" \t"))
        for name, value in pairs(request.headers)
        if name.lower() not in NOT_FORWARDED and name.lower() not in nominated
    ]
    assert [header for header in sent.headers if header[0].lower() not in OURS_TO_INSTANCE] == expected
    for name in OURS_TO_INSTANCE - {b"max-forwards"}:
        assert len(sent.values(name)) <= 1, name
    assert (sent.values(b"connection"), sent.values(b"te")) in (([], []), ([b"TE"], [b"trailers"]))
    assert len(sent.values(b"host")) == 1
    lengths = [value for name, value in pairs(request.headers) if name.lower() == b"content-length"]
    assert sent.values(b"content-length") == [b"%d" % int(length) for length in lengths]
    assert sent.values(b"transfer-encoding") == ([b"chunked"] if request.body and not lengths else [])


def _check_meaning(data: bytes, reached: Sequence[Message]) -> None:
    """Whoever reads the caller's bytes by the RFC reads what we sent on."""
    meant = read_requests(data)
    # RFC 9112 section 3 lets a server part the request line at any white space, as llhttp does; h11 does not.
    assert len(meant) >= len(reached) or b"  " in data, "h11 refuses what we accepted"
    for sent, raw in zip(reached, meant, strict=False):
        assert sent.method == raw.method
        assert raw.complete or not sent.complete
        assert sent.target == raw.target or not raw.target.startswith(b"/")
        assert sent.body == raw.body or not sent.complete
        _check_trailers(sent.trailers, raw.trailers)


def _check_trailers(passed: Sequence[tuple[bytes, bytes]], meant: Sequence[tuple[bytes, bytes]]) -> None:
    """Fields of a trailer section never become headers, and those that frame, route or authenticate go no further."""
    names = {name.lower() for name, _ in passed}
    assert not names & NOT_IN_TRAILERS
    left = iter(meant)
    assert all(field in left for field in passed), "in the order in which they came"


# what an instance answers


def check_responses(data: bytes, cuts: Sequence[int], loop: asyncio.AbstractEventLoop) -> None:
    """The laws, for the bytes of an instance."""
    for method in (b"GET", b"HEAD"):
        returned = run(_return(method, data, ()), loop)
        if len(data) < CUTS_MATTER_BYTES:
            assert run(_return(method, data, cuts), loop) == returned, f"cut at {cuts} it is something else"
        _check_returned(method, data, returned)


@dataclass
class Returned:
    """What came of an instance's bytes."""

    answer: Message | None = None  # as h11 read it; None: none came, which ends the caller's connection
    kept: bool = field(default=False, compare=False)  # the instance's connection would serve another exchange
    ended: str = ""


async def _return(method: bytes, data: bytes, cuts: Sequence[int]) -> Returned:
    instance = Instance()
    caller = Caller(instance.exchange)

    def progress() -> object:
        return caller.received, caller.ended, instance.reusable

    caller.transport.deliver(method + b" /a HTTP/1.1\r\nHost: a\r\n\r\n")
    await quiet(progress)
    assert read_request(instance.received).complete
    for piece in pieces(data, cuts):
        instance.transport.deliver(piece)
        await quiet(progress)
    returned = Returned(kept=instance.reusable is True and not instance.connection.closed)
    instance.transport.finish()
    await quiet(progress)
    assert instance.transport.closing, "it was told that the other side is gone"
    returned.ended = caller.ended
    answers = read_answers(caller.received, [method], closed=caller.ended == "close")
    assert len(answers) <= 1, "one request, one answer"
    returned.answer = answers[0] if answers and answers[0].complete else None
    assert (returned.answer is None) is (caller.ended == "abort"), "an answer cut short must not look complete"
    if returned.answer is not None and returned.answer.values(b"proxy-status"):
        # Which of several faults is named may depend on the cuts.
        returned.answer.body = b""
        returned.answer.headers = [field for field in returned.answer.headers if field[0].lower() != b"content-length"]
    caller.transport.abort()
    await quiet(lambda: None)
    return returned


def _check_returned(method: bytes, data: bytes, returned: Returned) -> None:
    answer = returned.answer
    if answer is None:
        assert not returned.kept
        return
    assert len(answer.interims) <= MAX_INTERIM_RESPONSES
    if answer.values(b"proxy-status"):
        assert answer.status == 502
        assert not returned.kept
        return
    meant = read_response(data, method)
    if meant is None:
        assert _LINE_ENDS_BETWEEN.search(data), "h11 refuses what we accepted"
        return
    assert (answer.status, answer.reason, answer.body) == (meant.status, meant.reason, meant.body)
    assert answer.interims == [status for status in meant.interims if status != 100]
    assert not returned.kept or not meant.excess.strip(b"\r\n"), "bytes that nobody asked for, and it is kept"
    _check_trailers(answer.trailers, meant.trailers)
    nominated = _nominated(meant.headers) - KEPT_FOR_THE_CALLER
    expected = [
        (name, value)
        for name, value in meant.headers
        if name.lower() not in NOT_RETURNED and name.lower() not in nominated
    ]
    assert [header for header in answer.headers if header[0].lower() not in OURS_TO_CALLER] == expected
    for name in OURS_TO_CALLER - {b"date"}:
        assert len(answer.values(name)) <= 1, name
    assert len(answer.headers) <= MAX_HEADERS + len(OURS_TO_CALLER)


def _nominated(headers: Sequence[tuple[bytes, bytes]]) -> set[bytes]:
    lists = [value for name, value in headers if name.lower() == b"connection"]
    return {token for value in lists for part in value.lower().split(b",") if (token := part.strip(b" \t"))}

"""A request and its response as they walk through the pipeline."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Final, NamedTuple

from admin.metrics import CommandMetrics, ServiceMetrics
from loadbalancer.node import Node
from prana.errors import BadRequest, ProxyError
from prana.wire.body import BodyStream
from prana.wire.fields import Field, Headers
from prana.wire.limits import DEFAULT_IDLE_TIMEOUT_S
from prana.wire.upgrade import Upgrade

_NO_TIME_S: Final = 1e-9  # 0 is for no deadline at all


class End(Enum):
    """How an answer ended."""

    COMPLETE = "complete"  # the last byte was handed on
    BROKEN = "broken"  # the instance broke off or stalled
    ABANDONED = "abandoned"  # the caller went away
    DISCARDED = "discarded"  # given up for another answer


OVERTAKEN = "overtaken"
"""The cause of an attempt given up because another was faster."""


class Attempt:
    """One try at one node, kept for `X-Prana-Explain`, for error bodies, and so that a retry avoids the node."""

    __slots__ = ("again", "cause", "duration_s", "node", "status")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.status = 0  # of the answer, when there was one
        self.cause = ""  # of the failure, when there was none
        self.duration_s = 0.0
        self.again = False  # the next attempt is to go to the same node

    @property
    def result(self) -> str:
        return self.cause or (str(self.status) if self.status else "in progress")


class Request:
    """What the caller sent, and what the stages have found out about it so far."""

    __slots__ = (
        "asked_timeout_s",
        "attempts",
        "body",
        "caller_ip",
        "command",
        "connection_tokens",
        "content_length",
        "deadline_s",
        "executed",
        "explain",
        "from_loopback",
        "headers",
        "host",
        "http10",
        "idle_timeout_s",
        "is_fallback",
        "keep_alive",
        "looped",
        "malformed",
        "max_forwards",
        "method",
        "metrics",
        "named_service",
        "path",
        "proxy_port",
        "received_s",
        "release_place",
        "request_id",
        "rewritten",
        "send_interim",
        "service",
        "target",
        "upgrade",
        "upload",
        "via_count",
    )

    def __init__(self, method: bytes, target: bytes, headers: Headers, received_s: float) -> None:
        self.method = method
        self.target = target  # origin-form, byte for byte as sent
        self.headers = headers
        self.received_s = received_s  # monotonic; when its turn on the connection came
        self.attempts: list[Attempt] = []
        self.body: BodyStream | None = None
        self.content_length: int | None = None  # None with a body: chunked
        self.host = b""
        self.http10 = False
        self.keep_alive = False
        self.connection_tokens: frozenset[bytes] = frozenset()  # lower case, from the Connection header
        self.rewritten: Sequence[Field] = ()  # of the headers, those of which the instance gets our version
        self.upgrade: Upgrade | None = None  # None once the service turns out not to allow it
        self.via_count = 0
        self.max_forwards: int | None = None  # of OPTIONS only, as received
        self.caller_ip = b""  # none over a Unix socket
        self.proxy_port = 0  # where the call came in; 0 over a Unix socket
        self.from_loopback = False  # loopback address or Unix socket
        self.looped = False  # arrived over one of our own upstream connections
        self.malformed: BadRequest | None = None
        self.named_service: bytes | None = None  # X-Prana-Service as sent; several with commas between
        self.request_id = b""  # as sent, until it is observed
        self.explain = False
        self.service = ""
        self.path = b""  # what the instance is asked for
        self.idle_timeout_s = DEFAULT_IDLE_TIMEOUT_S  # between body bytes, both ways; the command's once routed
        self.asked_timeout_s = 0.0  # by headers; 0: none
        self.deadline_s = 0.0  # monotonic; set by the deadline stage
        self.metrics: ServiceMetrics | None = None  # of the service, once routed
        self.command: CommandMetrics | None = None  # of the service or its route, once routed
        self.executed = False  # breaker and bulkhead let it through
        self.release_place: Callable[[End], None] | None = None  # of the bulkhead; the fallback stage sees to it
        self.send_interim: Callable[[int, bytes, Headers], None] | None = None
        self.upload: asyncio.Task[None] | None = None  # of the body to an instance, the latest
        self.is_fallback = False  # asked in another service's place

    def elsewhere(self, service: str, received_s: float) -> "Request":
        """The same request to another service, as if it came now, but its caller has waited already. What the stages
        found out stays behind."""
        other = copy.copy(self)
        if self.asked_timeout_s:
            other.asked_timeout_s = max(self.received_s + self.asked_timeout_s - received_s, _NO_TIME_S)
        other.service, other.received_s = service, received_s
        other.attempts = []
        other.executed = False
        other.release_place = None
        other.is_fallback = True
        return other

    async def stop_upload(self) -> None:
        """After this nobody reads the body, so it may be rewound."""
        if self.upload is not None and not self.upload.done():
            self.upload.cancel()
            await asyncio.wait([self.upload])

    @property
    def route(self) -> str:
        """The name of the service's route that took it; "" for none."""
        return self.command.key.partition(":")[2] if self.command is not None else ""


class Instead(NamedTuple):
    """Which fallback answered, and why."""

    kind: str
    cause: str  # that of the ProxyError, or http_ and the status of the answer it stands for


class Response:
    """An answer. Whoever takes resources for it hangs their release on `on_finish`: the body owns the release."""

    __slots__ = ("_callbacks", "body", "content_length", "error", "fallback", "headers", "reason", "status")

    def __init__(self, status: int, reason: bytes, headers: Headers, body: BodyStream | bytes) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body
        self.content_length: int | None = None  # of a streamed body, when the instance declared it
        self.error: ProxyError | None = None  # set when Prana and not an instance answers
        self.fallback: Instead | None = None  # set when a fallback answered
        self._callbacks: list[Callable[[End], None]] | None = []

    def on_finish(self, callback: Callable[[End], None]) -> None:
        """`callback` runs once, when the last body byte was handed on or the body was given up."""
        assert self._callbacks is not None, "the response is already finished"  # noqa: S101 - caller's contract
        self._callbacks.append(callback)

    def finish(self, end: End) -> None:
        """Idempotent."""
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback(end)

    def discard(self) -> None:
        """Nobody wants this answer; its connection survives if the body has arrived already."""
        if isinstance(self.body, bytes):
            self.finish(End.COMPLETE)
            return
        self.body.discard()
        self.finish(End.COMPLETE if self.body.whole else End.DISCARDED)


Handler = Callable[[Request], Awaitable[Response]]

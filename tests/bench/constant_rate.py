"""A constant rate of requests, without coordinated omission.

Each request has a moment when it is due, whatever became of those before, and its latency counts from that moment. An
answer that is late thus shows in every request that had to wait for its connection. The generator waits in select(2),
whose timeout is exact to microseconds: event loops that round timers to milliseconds, uvloop's and tokio's among
them, would add up to one to every latency at a thousand requests per second.
"""

import gc
import math
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.bench.samples import Figures, RunError
from tests.bench.scenarios import GET_100, ConstantRate
from tests.bench.target import Target

PERCENTILES = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
_CONNECTIONS = 32
_WARM_UP_S = 1.0
_PATIENCE_S = 5.0
_READ_BYTES = 64 * 1024


def measure(target: Target, scenario: ConstantRate, seconds: int) -> Figures:
    """Latency percentiles, and the CPU time of a peer that is far from busy."""
    cpu_before_s = target.server.cpu_s if target.server else 0.0
    latencies = latencies_s(target.port, target.path(GET_100), GET_100.answer, scenario.requests_per_s, seconds)
    figures = percentiles_ms(latencies)
    if target.server:
        requests = len(latencies) + _WARM_UP_S * scenario.requests_per_s
        figures["cpu_us"] = (target.server.cpu_s - cpu_before_s) * 1e6 / requests
    return figures


def latencies_s(port: int, path: str, answer: bytes, requests_per_s: int, seconds: float) -> list[float]:
    """Of all requests but those of the first second. Anything but a 200 with this body is a RunError."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    skipped = round(requests_per_s * _WARM_UP_S)
    total = skipped + round(requests_per_s * seconds)
    with ExitStack() as sockets, _no_garbage_collection():
        connections = [sockets.enter_context(_connected(port)) for _ in range(_CONNECTIONS)]
        return send(connections, request, answer, 1 / requests_per_s, total)[skipped:]


def percentiles_ms(latencies: Sequence[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    ordered = sorted(latencies)
    return {name: percentile(ordered, share) * 1e3 for name, share in PERCENTILES.items()}


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that is not below `share` of them (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def send(
    connections: Sequence[socket.socket],
    request: bytes,
    answer: bytes,
    interval_s: float,
    total: int,
    clock_s: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Sends `total` times, every `interval_s`, and gives the latencies in the order of the answers."""
    latencies: list[float] = []
    idle = deque(connections)  # used in turn
    answers: dict[socket.socket, _Answer] = {}
    started_s = clock_s()
    sent = 0
    while len(latencies) < total:
        next_due_s = started_s + sent * interval_s
        if sent < total and idle and next_due_s <= clock_s():
            connection = idle.popleft()
            connection.sendall(request)
            answers[connection] = _Answer(next_due_s, answer)
            sent += 1
            continue
        may_send = sent < total and idle
        timeout_s = max(0.0, next_due_s - clock_s()) if may_send else _PATIENCE_S
        readable = select.select(list(answers), [], [], timeout_s)[0]
        if not readable and not may_send:
            raise RunError(f"no answer within {_PATIENCE_S} s")
        for connection in readable:
            if answers[connection].read(connection):
                latencies.append(clock_s() - answers.pop(connection).due_s)
                idle.append(connection)
    return latencies


class _Answer:
    def __init__(self, due_s: float, body: bytes) -> None:
        self.due_s = due_s
        self._body = body
        self._received = b""

    def read(self, connection: socket.socket) -> bool:
        """Whether the answer is now complete."""
        piece = connection.recv(_READ_BYTES)
        if not piece:
            raise RunError("a connection was closed")
        self._received += piece
        head, end_of_head, body = self._received.partition(b"\r\n\r\n")
        if end_of_head and not (head.startswith(b"HTTP/1.1 200 ") and self._body.startswith(body)):
            raise RunError(f"an answer was {self._received!r}")
        return bool(end_of_head) and body == self._body


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), _PATIENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

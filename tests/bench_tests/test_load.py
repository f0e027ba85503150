import json
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.bench import closed_loop, constant_rate
from tests.bench.samples import RunError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def wrk_output(answered: int = 10, total_bytes: int = 2000, **errors: int) -> str:
    return "Running 1s test\n" + json.dumps({"requests": answered, "bytes": total_bytes, "errors": errors})


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_closed_loop_without_errors_is_a_result() -> None:
    assert closed_loop.result_of(wrk_output(status=0), answer_bytes=100)["requests"] == 10


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (wrk_output(status=1, read=0), "1 status errors"),
        (wrk_output(answered=0), "not a single answer"),
        (wrk_output(total_bytes=999), "10 answers of 100 bytes were 999 bytes"),
    ],
)
def test_a_closed_loop_with_an_error_is_no_result(output: str, reason: str) -> None:
    with pytest.raises(RunError, match=reason):
        closed_loop.result_of(output, answer_bytes=100)


def test_percentiles_are_values_that_were_measured() -> None:
    latencies = [index / 1000 for index in range(1000, 0, -1)]

    assert constant_rate.percentiles_ms(latencies) == pytest.approx({"p50_ms": 500, "p99_ms": 990, "p999_ms": 999})
    assert constant_rate.percentile([0.5], 0.0) == 0.5


def test_an_answer_in_pieces_is_awaited_to_its_end() -> None:
    ours, theirs = socket.socketpair(type=socket.SOCK_DGRAM)  # keeps the pieces apart
    with ours, theirs:
        for piece in (OK[:10], OK[10:-2], OK[-2:]):
            theirs.send(piece)

        assert len(constant_rate.send([ours], b"?", b"hello", interval_s=0.0, total=1)) == 1
        assert theirs.recv(10) == b"?"
        with pytest.raises(BlockingIOError):
            ours.recv(10, socket.MSG_DONTWAIT)


def test_a_request_that_waited_for_its_connection_counts_from_when_it_was_due(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    now_s = 0.0

    def clock_s() -> float:
        nonlocal now_s
        now_s += 1
        return now_s

    def answer() -> None:
        for _ in range(2):
            theirs.recv(1)
            theirs.sendall(OK)

    answering = threading.Thread(target=answer)
    answering.start()
    _, second_s = constant_rate.send([ours], b"?", b"hello", interval_s=0.0, total=2, clock_s=clock_s)
    answering.join()

    assert second_s == now_s - 1  # both were due when it began, at 1


@pytest.mark.parametrize(
    "answer", [OK.replace(b"200", b"503"), OK.replace(b"hello", b"hullo"), OK + b"!", b"HTTP/1.1 200 OK\r\n"]
)
def test_anything_but_the_expected_answer_is_no_result(
    ends: tuple[socket.socket, socket.socket], answer: bytes
) -> None:
    ours, theirs = ends
    theirs.sendall(answer)
    theirs.shutdown(socket.SHUT_WR)

    with pytest.raises(RunError):
        constant_rate.send([ours], b"?", b"hello", interval_s=0.0, total=1)

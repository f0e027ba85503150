import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.bench.scenarios import GET_100
from tests.bench.target import AnswerError, Target


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A port where one call gets these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        yield listener.getsockname()[1]
        serving.join()


def answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d Whatever\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def test_a_peer_that_answers_as_the_backend_takes_part() -> None:
    with answering(answer(200, GET_100.answer)) as port:
        Target("envoy", port).check(GET_100)


@pytest.mark.parametrize(
    "wrong", [answer(503, GET_100.answer), answer(200, b"another body"), b"", answer(200, GET_100.answer)[:-1]]
)
def test_a_peer_that_answers_otherwise_does_not(wrong: bytes) -> None:
    with answering(wrong) as port, pytest.raises(AnswerError, match="envoy"):
        Target("envoy", port).check(GET_100)

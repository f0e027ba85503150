"""A healthy caller, in a process of its own so that it notices only what it asks: `python probe.py PORT TARGET`.

Asks for one small answer after the other, a hundred a second, and prints for each when it was due (monotonic), how
long the answer took from then, and its status, 0 for none.
"""

import socket
import sys
import time

EVERY_S = 0.01


def ask(connection: socket.socket, target: str) -> int:
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
        data = connection.recv(65536)
        if not data:
            return 0
        answer += data
    return int(answer[9:12])


def main(port: int, target: str) -> None:
    connection: socket.socket | None = None
    due_s = time.monotonic()
    while True:
        time.sleep(max(0.0, due_s - time.monotonic()))
        status = 0
        try:
            connection = connection or socket.create_connection(("127.0.0.1", port), 10.0)
            status = ask(connection, target)
        except OSError:
            pass
        if status == 0:
            connection = None
        sys.stdout.write(f"{due_s:.6f} {time.monotonic() - due_s:.6f} {status}\n")
        sys.stdout.flush()
        due_s = max(due_s + EVERY_S, time.monotonic() - 0.5)  # it catches up, but not for ever


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

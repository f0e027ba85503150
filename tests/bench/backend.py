"""What the proxies call: two nodes of nginx, each one process, so that the backend costs less than any proxy."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench import templates
from tests.bench.process import Server, free_ports

SMALL = b'{"id":4711,"name":"garden chair","price":"49.90","currency":"EUR","in_stock":1700,"colours":["oak"]}'
FILES = {"10k": os.urandom(10 * 1024), "1m": os.urandom(1024 * 1024)}


@contextmanager
def running(nginx: str, directory: Path) -> Iterator[tuple[int, int]]:
    """The ports of the two nodes, both answering."""
    for name, content in FILES.items():
        (directory / name).write_bytes(content)
    first, second = free_ports(2)
    with ExitStack() as servers:
        for port in (first, second):
            own = directory / f"node-{port}"
            own.mkdir()
            values = {"dir": own, "port": port, "files": directory, "small": SMALL.decode()}
            templates.write("backend.conf", own, values)
            command = [nginx, "-e", "stderr", "-p", str(own), "-c", str(own / "backend.conf")]
            server = servers.enter_context(Server(command, own / "log", {}))
            server.until_answering(port, "/")
        yield first, second

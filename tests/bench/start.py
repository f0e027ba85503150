"""How long a peer takes to its first answer, and how much memory it holds when nobody calls."""

import tempfile
import time
from pathlib import Path

from tests.bench.peers import Peer
from tests.bench.samples import MIB, Figures
from tests.bench.scenarios import GET_100
from tests.bench.target import Target

SERVICES = ("bench", "orders", "users")
_SETTLING_S = 1.0


def measure(peer: Peer, program: str, nodes: tuple[int, int]) -> Figures:
    """Starts one more of this peer and ends it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # nginx's workers are another user
        server, port = peer.start(program, directory, nodes)
        with server:
            target = Target(peer.name, port, server)
            start_s = server.until_answering(port, target.path(GET_100))
            for service in SERVICES:
                target.check(GET_100, service)
            time.sleep(_SETTLING_S)
            return {"start_s": start_s, "idle_mib": server.resident_bytes / MIB}

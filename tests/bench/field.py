"""Who takes part: the peers that are installed and that answer as the backend does, each started once."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.peers import DIRECT, PEERS, Peer
from tests.bench.process import ServerError
from tests.bench.scenarios import GET_100, KINDS
from tests.bench.target import AnswerError, Target
from tests.bench.tools import Tools


@dataclass(frozen=True)
class Entrant:
    """A peer that takes part, running. It can be started once more from `program`."""

    peer: Peer
    program: str
    target: Target


def direct(node: int) -> Target:
    """The call without a proxy, checked."""
    return _checked(Target(DIRECT, node))


def enter(
    names: Sequence[str], tools: Tools, directory: Path, nodes: tuple[int, int], running: ExitStack
) -> tuple[list[Entrant], dict[str, str]]:
    """Those that take part, until `running` is closed, and why the others do not."""
    entrants: list[Entrant] = []
    absent: dict[str, str] = {}
    for peer in PEERS:
        if peer.name not in names:
            continue
        program = tools.find(peer.program)
        if program is None:
            absent[peer.name] = f"no program {peer.program} found ({peer.origin})"
            continue
        try:
            entrants.append(Entrant(peer, program, _started(peer, program, directory / peer.name, nodes, running)))
        except (ServerError, AnswerError, OSError) as error:
            absent[peer.name] = str(error)
    return entrants, absent


def _started(peer: Peer, program: str, directory: Path, nodes: tuple[int, int], running: ExitStack) -> Target:
    directory.mkdir()
    server, port = peer.start(program, directory, nodes)
    target = Target(peer.name, port, running.enter_context(server))
    server.until_answering(port, target.path(GET_100))
    return _checked(target)


def _checked(target: Target) -> Target:
    for kind in KINDS:
        target.check(kind)
    return target

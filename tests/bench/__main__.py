"""Compares Prana with other proxies: `python -m tests.bench`. Linux only: CPU time and memory are read from /proc."""

import json
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench import backend, field, rounds
from tests.bench.arguments import Options, parse
from tests.bench.facts import facts
from tests.bench.peers import DIRECT
from tests.bench.process import ServerError
from tests.bench.report import Report
from tests.bench.scenarios import Scenario, all_scenarios, chosen
from tests.bench.target import AnswerError
from tests.bench.tools import Tools

_INTERRUPTED = 130


def main() -> int:
    """0 when every run gave a result, 1 when one did not or a program that all need is missing."""
    options = parse()
    for number in (signal.SIGTERM, signal.SIGHUP):  # as after a Ctrl-C, nothing that was started may stay
        signal.signal(number, signal.default_int_handler)
    try:
        return _main(options)
    except (ServerError, AnswerError) as error:  # of the backend, without which there is nothing to measure
        return _failure(str(error))
    except KeyboardInterrupt:
        return _INTERRUPTED


def _main(options: Options) -> int:
    tools = Tools(options.tools)
    wrk, nginx = tools.find("wrk"), tools.find("nginx")
    if not wrk or not nginx or not Path("/proc/self/smaps_rollup").exists():
        return _failure("needs Linux, wrk (the load) and nginx (the backend); on Debian: apt-get install wrk nginx")
    scenarios = chosen(all_scenarios(options.connections, options.rate), options.only)
    if not scenarios:
        return _failure(f"no scenario begins with {' or '.join(options.only)}")
    report = _compare(options, tools, wrk, nginx, scenarios)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "report.md").write_text(report.markdown())
    (options.out / "report.json").write_text(json.dumps(report.json(), indent=2))
    print(report.markdown())
    print(f"written: {options.out}/report.md and report.json")
    return 1 if report.errors else 0


def _compare(options: Options, tools: Tools, wrk: str, nginx: str, scenarios: Sequence[Scenario]) -> Report:
    with _directory() as directory, backend.running(nginx, directory) as nodes, ExitStack() as running:
        direct = field.direct(nodes[0])
        entrants, absent = field.enter(options.peers, tools, directory, nodes, running)
        for name, reason in absent.items():
            _say(f"absent: {name}: {reason}")
        known = facts(options, wrk, entrants)
        extent = rounds.Extent(options.rounds, options.seconds, options.rate_seconds)
        contest = rounds.Contest(wrk, nodes, direct, entrants, DIRECT in options.peers)
        samples = rounds.run(contest, extent, scenarios, _say)
    return Report(known, [DIRECT, *(entrant.peer.name for entrant in entrants)], absent, scenarios, samples)


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # nginx's workers are another user's
        yield directory


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _failure(message: str) -> int:
    _say(f"bench: {message}")
    return 1


if __name__ == "__main__":
    sys.exit(main())

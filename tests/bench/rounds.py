"""Alternating rounds: A B C A B C and not A A B B, so that a minute in which the machine is slow slows everybody."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from tests.bench import closed_loop, constant_rate, start
from tests.bench.field import Entrant
from tests.bench.peers import DIRECT
from tests.bench.process import ServerError
from tests.bench.samples import Figures, RunError, Sample
from tests.bench.scenarios import ClosedLoop, ConstantRate, Scenario, Start
from tests.bench.target import AnswerError, Target


@dataclass(frozen=True)
class Contest:
    wrk: str
    nodes: tuple[int, int]
    direct: Target
    entrants: Sequence[Entrant]
    direct_takes_part: bool  # beyond the constant rate, where the others are compared with it

    def entrants_of(self, scenario: Scenario) -> list[Entrant]:
        return [entrant for entrant in self.entrants if scenario.name.startswith(entrant.peer.only)]

    def targets(self, scenario: Scenario, with_direct: bool) -> list[Target]:
        return [*([self.direct] if with_direct else []), *(entrant.target for entrant in self.entrants_of(scenario))]


@dataclass(frozen=True)
class Extent:
    rounds: int
    seconds: int
    rate_seconds: int


def run(contest: Contest, extent: Extent, scenarios: Sequence[Scenario], log: Callable[[str], None]) -> list[Sample]:
    """Every scenario with every peer in every round. `log` takes a line for each run."""
    samples: list[Sample] = []
    for scenario in scenarios:
        log(scenario.title)
        for number in range(1, extent.rounds + 1):
            for sample in _round(contest, extent, scenario, number):
                log(f"  round {number}  {sample.peer:<10}  {sample.error or _words(sample.figures)}")
                samples.append(sample)
    return samples


def _round(contest: Contest, extent: Extent, scenario: Scenario, number: int) -> Iterator[Sample]:
    direct: Figures = {}
    for name, measure in _runs(contest, extent, scenario):
        try:
            figures = measure()
        except (RunError, AnswerError, ServerError, OSError) as error:
            yield Sample(scenario.name, name, number, {}, str(error))
            continue
        if name == DIRECT:
            direct = figures
        elif isinstance(scenario, ConstantRate):
            figures = {**figures, **_added(figures, direct)}
        yield Sample(scenario.name, name, number, figures)


def _runs(contest: Contest, extent: Extent, scenario: Scenario) -> Iterator[tuple[str, Callable[[], Figures]]]:
    """One round: who is measured, and how."""
    match scenario:
        case ClosedLoop():
            for target in contest.targets(scenario, with_direct=contest.direct_takes_part):
                yield target.name, partial(closed_loop.measure, contest.wrk, target, scenario, extent.seconds)
        case ConstantRate():
            for target in contest.targets(scenario, with_direct=True):
                yield target.name, partial(constant_rate.measure, target, scenario, extent.rate_seconds)
        case Start():
            for entrant in contest.entrants_of(scenario):
                yield entrant.peer.name, partial(start.measure, entrant.peer, entrant.program, contest.nodes)


def _added(figures: Figures, direct: Figures) -> Figures:
    return {f"added_{name}": figures[name] - direct[name] for name in constant_rate.PERCENTILES if name in direct}


def _words(figures: Figures) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())

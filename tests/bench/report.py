"""The outcome as Markdown and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from tests.bench.bars import BARS, Bar, Finding, Limit, findings
from tests.bench.peers import PRANA
from tests.bench.samples import Medians, Sample
from tests.bench.scenarios import Scenario

FIGURES = {
    "cpu_us": "CPU microseconds per request, user and system, all processes of the peer",
    "per_s": "Requests per second",
    "p50_ms": "Latency p50, milliseconds",
    "p99_ms": "Latency p99, milliseconds",
    "p999_ms": "Latency p99.9, milliseconds",
    "added_p50_ms": "Added to the direct call: p50, milliseconds",
    "added_p99_ms": "Added to the direct call: p99, milliseconds",
    "added_p999_ms": "Added to the direct call: p99.9, milliseconds",
    "loaded_mib": "Resident MiB under load",
    "idle_mib": "Resident MiB, idle with 3 services",
    "start_s": "Seconds from the start of the process to its first answer",
}


@dataclass(frozen=True)
class Report:
    facts: Mapping[str, str]  # machine, versions, extent
    peers: Sequence[str]  # those that were measured, in order
    absent: Mapping[str, str]  # and why
    scenarios: Sequence[Scenario]
    samples: Sequence[Sample]

    @property
    def errors(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.error]

    def markdown(self) -> str:
        medians = Medians(self.samples)
        return "\n".join(
            [
                "# Prana compared",
                "",
                *(f"- {name}: {value}" for name, value in self.facts.items()),
                *(f"- absent: {peer}: {reason}" for peer, reason in self.absent.items()),
                "",
                "Medians of all rounds without errors. In brackets: Prana's figure as a multiple of this peer's.",
                "",
                *self._bars(medians),
                *self._errors(),
                *(line for figure in FIGURES for line in self._table(figure, medians)),
            ]
        )

    def json(self) -> dict[str, object]:
        """Everything, single runs included; figures are named as in `FIGURES`."""
        medians = Medians(self.samples)
        return {
            "facts": dict(self.facts),
            "absent": dict(self.absent),
            "figures": FIGURES,
            "scenarios": {scenario.name: scenario.title for scenario in self.scenarios},
            "medians": medians.nested(),
            "ratios": _ratios(medians),
            "bars": [_bar_json(bar, medians) for bar in BARS],
            "runs": [asdict(sample) for sample in self.samples],
        }

    def _bars(self, medians: Medians) -> Iterator[str]:
        yield "## Bars"
        yield ""
        yield "| | Prana | bar | | aim | |"
        yield "|---|---|---|---|---|---|"
        for bar in BARS:
            measured = _number(medians.get(bar.scenario, bar.peer, bar.figure))
            cells = " | ".join(_judged(bar, limits, medians) for limits in (bar.bar, bar.aim))
            yield f"| {bar.title} | {measured} | {cells} |"
        yield ""

    def _errors(self) -> Iterator[str]:
        if self.errors:
            yield "## Runs with errors, which are no results"
            yield ""
            yield from (f"- {run.scenario}, {run.peer}, round {run.round}: {run.error}" for run in self.errors)
            yield ""

    def _table(self, figure: str, medians: Medians) -> Iterator[str]:
        rows = [scenario for scenario in self.scenarios if medians.get(scenario.name, PRANA, figure) is not None]
        if not rows:
            return
        columns = [peer for peer in self.peers if any(medians.get(row.name, peer, figure) is not None for row in rows)]
        yield f"## {FIGURES[figure]}"
        yield ""
        yield f"| | {' | '.join(columns)} |"
        yield "|---" * (len(columns) + 1) + "|"
        for row in rows:
            yield f"| {row.title} | {' | '.join(_cell(row.name, peer, figure, medians) for peer in columns)} |"
        yield ""


def _cell(scenario: str, peer: str, figure: str, medians: Medians) -> str:
    measured = _number(medians.get(scenario, peer, figure))
    ratio = medians.ratio(scenario, figure, PRANA, peer)
    return measured if peer == PRANA or ratio is None else f"{measured} ({ratio:.2f}x)"


def _judged(bar: Bar, limits: tuple[Limit, ...], medians: Medians) -> str:
    found = list(findings(bar, limits, medians))
    wanted = ", ".join(f"{finding.limit.most:g}{_times(finding.limit)}" for finding in found)
    return f"{wanted} | {', '.join(map(_verdict, found))}"


def _verdict(finding: Finding) -> str:
    if finding.measured is None or not (finding.limit.peer or finding.limit.beyond):
        return finding.verdict
    return f"{finding.verdict} ({finding.measured:.2f}{'x' if finding.limit.peer else ''})"


def _times(limit: Limit) -> str:
    return f" x {limit.peer}" if limit.peer else f" beyond {limit.beyond}" if limit.beyond else ""


def _than(limit: Limit) -> dict[str, str]:
    return {"beyond": limit.beyond} if limit.beyond else {"of": limit.peer}


def _number(value: float | None) -> str:
    """Three significant digits, and no exponent."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratios(medians: Medians) -> dict[str, dict[str, dict[str, float]]]:
    """Prana's figures as multiples of each other peer's, by scenario, peer and figure."""
    return {
        scenario: {
            peer: {
                figure: ratio
                for figure in figures
                if (ratio := medians.ratio(scenario, figure, PRANA, peer)) is not None
            }
            for peer, figures in peers.items()
            if peer != PRANA
        }
        for scenario, peers in medians.nested().items()
    }


def _bar_json(bar: Bar, medians: Medians) -> dict[str, object]:
    return {
        "title": bar.title,
        "scenario": bar.scenario,
        "figure": bar.figure,
        "prana": medians.get(bar.scenario, bar.peer, bar.figure),
        **{
            name: [
                {"most": found.limit.most, **_than(found.limit), "measured": found.measured, "verdict": found.verdict}
                for found in findings(bar, limits, medians)
            ]
            for name, limits in (("bar", bar.bar), ("aim", bar.aim))
        },
    }

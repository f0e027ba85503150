import json

from tests.bench.bars import BARS
from tests.bench.report import FIGURES, Report
from tests.bench.samples import Sample
from tests.bench.scenarios import all_scenarios, chosen

SCENARIOS = all_scenarios((1, 32, 256), 1000)


def report(*samples: Sample) -> Report:
    scenarios = chosen(SCENARIOS, ("get-100-c32", "start"))
    return Report({"machine": "2 cores"}, ["haproxy", "envoy", "prana"], {"traefik": "no program"}, scenarios, samples)


def cpu_us(peer: str, value: float) -> Sample:
    return Sample("get-100-c32", peer, 1, {"cpu_us": value})


def test_a_peers_figure_stands_beside_pranas_as_a_multiple_of_it() -> None:
    lines = report(cpu_us("prana", 30.0), cpu_us("envoy", 60.0)).markdown().splitlines()

    assert "| | envoy | prana |" in lines
    assert "| 100-byte GET, 32 connections | 60 (0.50x) | 30 |" in lines


def test_a_bar_says_pass_fail_or_not_measured_for_each_of_its_limits() -> None:
    text = report(
        cpu_us("prana", 36.0), cpu_us("envoy", 60.0), Sample("start", "prana", 1, {"idle_mib": 61.0})
    ).markdown()

    assert "| CPU per request, 32 connections, 100 bytes | 36 | 0.8 x envoy | pass (0.60x) " in text
    assert "| 0.5 x envoy, 1.5 x haproxy | fail (0.60x), not measured |" in text
    assert "| resident MiB, idle with 3 services | 61 | 60, 1 x envoy | fail, not measured | 40 | fail |" in text


def test_what_is_exactly_at_the_bar_passes() -> None:
    assert "| pass (0.80x) |" in report(cpu_us("prana", 40.0), cpu_us("envoy", 50.0)).markdown()


def test_a_limit_above_a_peer_is_held_against_the_difference() -> None:
    text = report(cpu_us("prana", 60.0), cpu_us("prana-bare", 53.5)).markdown()

    assert "| 60 | 8 beyond prana-bare | pass (6.50) | 5 beyond prana-bare | fail (6.50) |" in text


def test_errors_and_absent_peers_are_named_with_their_reasons() -> None:
    text = report(Sample("get-100-c32", "prana", 2, {}, "3 read errors")).markdown()

    assert "- get-100-c32, prana, round 2: 3 read errors" in text
    assert "- absent: traefik: no program" in text


def test_the_json_holds_medians_ratios_bars_and_every_run() -> None:
    document = json.loads(
        json.dumps(report(cpu_us("prana", 30.0), cpu_us("prana", 50.0), cpu_us("envoy", 80.0)).json())
    )

    assert document["medians"]["get-100-c32"]["prana"]["cpu_us"] == 40.0
    assert document["ratios"]["get-100-c32"] == {"envoy": {"cpu_us": 0.5}}
    assert document["bars"][0]["aim"][1] == {"most": 1.5, "of": "haproxy", "measured": None, "verdict": "not measured"}
    assert len(document["runs"]) == 3


def test_every_bar_is_about_something_that_is_measured() -> None:
    names = {scenario.name for scenario in SCENARIOS}

    assert all(bar.scenario in names and bar.figure in FIGURES for bar in BARS)

import pytest

from prana.config.settings import Balancer
from tests.sim.__main__ import DEFAULT, REFERENCE
from tests.sim.experiment import SCENARIOS, Scenario, success_percent

A, B, C, D, E = SCENARIOS


def test_it_is_the_default_rule_that_the_bars_are_for() -> None:
    assert Balancer().rule == DEFAULT


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: f"{scenario.name} {scenario.title}")
def test_the_default_rule_keeps_traffic_off_the_faulty_server(scenario: Scenario) -> None:
    assert success_percent(DEFAULT, scenario) >= scenario.bar


@pytest.mark.parametrize("rule", REFERENCE)
def test_with_little_traffic_every_rule_fares_as_in_the_reference(rule: str) -> None:
    """Of round robin it also proves that the fault is there: a share of 11 for half of the time fails."""
    _, slow, _, _, failing = REFERENCE[rule]
    assert success_percent(rule, B) == pytest.approx(slow, abs=0.2)
    assert success_percent(rule, E) == pytest.approx(failing, abs=0.4)


def test_ribbons_circuit_helps_once_there_are_timeouts() -> None:
    assert success_percent("AvailabilityFilteringRule", C) == pytest.approx(99.85, abs=0.1)
    assert success_percent("ZoneAvoidanceRule", C) == pytest.approx(99.85, abs=0.1)


def test_least_busy_draws_everything_to_a_server_that_fails_at_once() -> None:
    assert success_percent("BestAvailableRule", D) == pytest.approx(56.24, abs=1)


def test_a_run_repeats_itself() -> None:
    assert success_percent(DEFAULT, E, seeds=1) == success_percent(DEFAULT, E, seeds=1)

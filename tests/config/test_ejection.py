"""Keys of ejection, slow start and warm-up: what they mean to the balancer, and what is refused."""

from collections.abc import Callable

import msgspec
import pytest

from loadbalancer.ejection import DetectorSettings, EjectionSettings, LatencySettings
from prana.config import Loaded

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]


def ejection(load_text: Load, text: str = "") -> EjectionSettings:
    """As the balancer of a service gets them."""
    return msgspec.convert(load_text(text).settings.policy_for("a").eject, EjectionSettings, from_attributes=True)


def test_the_defaults_are_those_of_the_balancer(load_text: Load) -> None:
    assert ejection(load_text) == EjectionSettings()


def test_every_key_reaches_the_balancer(load_text: Load) -> None:
    text = """
[defaults.eject]
enabled = false
consecutive_failures = 2
min_success_ratio = 0.5
min_requests = 6
window = "20s"
base = "2s"
max = "3s"
max_ejected_percent = 30
panic_percent = 40
shadow = true
[defaults.eject.consecutive]
enabled = false
[defaults.eject.success_ratio]
shadow = true
[services.a.eject.refused]
enabled = false
[services.a.eject.latency]
enabled = true
shadow = true
deviations = 4.5
min_samples = 30
min_nodes = 7
floor = "80ms"
"""
    assert ejection(load_text, text) == EjectionSettings(
        enabled=False,
        consecutive_failures=2,
        min_success_ratio=0.5,
        min_requests=6,
        window_s=20.0,
        base_s=2.0,
        max_s=3.0,
        max_ejected_percent=30,
        panic_percent=40,
        shadow=True,
        consecutive=DetectorSettings(enabled=False),
        success_ratio=DetectorSettings(shadow=True),
        refused=DetectorSettings(enabled=False),
        latency=LatencySettings(enabled=True, shadow=True, deviations=4.5, min_samples=30, min_nodes=7, floor_s=0.08),
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("defaults.eject.enabled = 'yes'", 'defaults.eject.enabled: must be true or false, not "yes"'),
        ("defaults.eject.panic_percent = 101", "defaults.eject.panic_percent: is 101; allowed are 0 to 100"),
        ("defaults.eject.latency.min_nodes = 2", "defaults.eject.latency.min_nodes: is 2; allowed are 3 to 1000"),
        ("defaults.eject.latency.deviations = 0", "defaults.eject.latency.deviations: is 0; allowed are 1 to 100"),
        (
            "defaults.eject.latency.floor = 50",
            'defaults.eject.latency.floor: is a bare number; a duration needs a unit, such as "50s" or "50ms"',
        ),
        (
            "defaults.eject.refused.shadwo = true",
            "defaults.eject.refused.shadwo: unknown key; did you mean defaults.eject.refused.shadow?",
        ),
        ("defaults.balancer.slow_start = '2h'", "defaults.balancer.slow_start: is 2h; allowed are 0s to 1h"),
        (
            "proxy.warm_up = 'orders'",
            'proxy.warm_up: must be a list, not "orders"',
        ),
        (
            "proxy.warm_up = ['a b']",
            'proxy.warm_up[0]: "a b" is not a service name; allowed are 1 to 128 of A-Z a-z 0-9 . _ -',
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, line: str, problems_of: Problems) -> None:
    assert problems_of(text) == [f"prana.toml:1: {line}"]


def test_names_to_warm_up_are_compared_in_lower_case(load_text: Load) -> None:
    assert load_text("proxy.warm_up = ['Orders']").settings.proxy.warm_up == ("orders",)


@pytest.mark.parametrize(
    ("most", "panic", "warned"), [(50, 50, False), (51, 50, True), (100, 0, False), (30, 80, True)]
)
def test_a_limit_that_a_panic_undercuts_is_warned_of(most: int, panic: int, warned: bool, load_text: Load) -> None:
    text = f"[services.a.eject]\nmax_ejected_percent = {most}\npanic_percent = {panic}\n"
    warnings = [str(warning) for warning in load_text(text).warnings]
    assert [".max_ejected_percent: is " in line for line in warnings] == [True] * warned


def test_slow_start_of_a_rule_that_knows_none_is_warned_of(load_text: Load) -> None:
    text = "[services.a.balancer]\nslow_start = '5s'\n"
    assert load_text(text).warnings == []
    (warning,) = load_text(f"{text}rule = 'RandomRule'").warnings
    assert "services.a.balancer.slow_start: has no effect with one of Ribbon's rules" in str(warning)

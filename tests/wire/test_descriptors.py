"""Limits of file descriptors, and what is said when they run short."""

import resource

import pytest
from structlog.testing import capture_logs

from prana.wire.descriptors import RESERVED, Shortage, limits_for, raise_limit

from .conftest import Clock

UNLIMITED = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "limit"),
    [
        (1024, 4096, 20_064, 4096),
        (1024, 1_048_576, 20_064, 20_064),
        (1024, UNLIMITED, 20_064, 20_064),
        (65_536, 1_048_576, 20_064, 65_536),
        (UNLIMITED, UNLIMITED, 20_064, 20_064),
        (256, 256, 20_064, 256),
    ],
)
def test_the_soft_limit_is_raised_to_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wanted: int, limit: int
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    assert raise_limit(wanted) == limit
    assert asked == ([] if limit == soft or soft == UNLIMITED else [(limit, hard)])


def test_a_limit_that_cannot_be_raised_is_lived_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int, limits: tuple[int, int]) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, UNLIMITED))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_limit(1000) == 256


@pytest.mark.parametrize(
    ("descriptors", "connections", "spared"),
    [(256, (256 - RESERVED) // 2, 256 - RESERVED), (20_000 + RESERVED, 10_000, 20_000), (10, 1, 5)],
)
def test_each_connection_counts_twice_and_some_descriptors_are_for_others(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, connections: int, spared: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    limits = limits_for(10_000)
    assert (limits.descriptors, limits.connections, limits.spared) == (descriptors, connections, spared)


def test_no_more_is_asked_for_than_the_connections_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, UNLIMITED))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    assert limits_for(10_000).descriptors == 20_000 + RESERVED


def test_a_shortage_is_said_once_at_its_start_and_once_at_its_end(clock: Clock) -> None:
    relieved: list[float] = []
    shortage = Shortage(clock, lambda: relieved.append(clock.now_s))
    with capture_logs() as logs:
        shortage.check()
        for _ in range(100):
            shortage.noted()
            clock.now_s += 0.1
            shortage.check()
        clock.now_s += 4.5
        shortage.check()
        assert len(logs) == 1
        clock.now_s += 0.5
        shortage.check()
        shortage.check()
    assert [line["log_level"] for line in logs] == ["warning", "warning"]
    assert (logs[1]["pauses"], logs[1]["lasted_s"]) == (100, 9.9)
    with capture_logs() as logs:
        shortage.noted()
        clock.now_s += 5
        shortage.check()
    assert logs[1]["pauses"] == 1, "a new shortage counts anew"
    assert len(relieved) == 2

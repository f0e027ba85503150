"""Self-preservation by a manual clock."""

import pytest

from registry.server.self_preservation import SelfPreservation
from tests.registry_server.clock import Clock


@pytest.fixture
def guard(clock: Clock) -> SelfPreservation:
    return SelfPreservation(clock, enabled=True)


def renew(guard: SelfPreservation, times: int) -> None:
    for _ in range(times):
        guard.renewed()


def test_switched_off_it_always_allows_expiry(clock: Clock) -> None:
    guard = SelfPreservation(clock, enabled=False)
    assert guard.allows_expiry
    clock.advance_s(3600)
    assert guard.allows_expiry


def test_nothing_expires_before_a_whole_minute_has_been_counted(clock: Clock, guard: SelfPreservation) -> None:
    renew(guard, 1000)
    assert not guard.allows_expiry
    clock.advance_s(59.999)
    assert not guard.allows_expiry
    clock.advance_s(0.001)
    assert guard.allows_expiry


# Two heartbeats a minute from each, and 85 % of them have to be exceeded.
@pytest.mark.parametrize(("clients", "threshold"), [(1, 1), (2, 3), (10, 17), (100, 170)])
def test_more_than_85_percent_of_the_heartbeats_must_arrive(
    clock: Clock, guard: SelfPreservation, clients: int, threshold: int
) -> None:
    for _ in range(clients - 1):  # a lone server starts with one
        guard.registered()
    assert guard.threshold == threshold
    renew(guard, threshold)
    clock.advance_s(60)
    assert not guard.allows_expiry
    renew(guard, threshold + 1)
    clock.advance_s(60)
    assert guard.allows_expiry


def test_a_minute_without_any_heartbeat_stops_expiry(clock: Clock, guard: SelfPreservation) -> None:
    renew(guard, 10)
    clock.advance_s(60)
    assert guard.allows_expiry
    clock.advance_s(60)
    assert not guard.allows_expiry
    renew(guard, 10)
    clock.advance_s(600)
    assert not guard.allows_expiry
    renew(guard, 2)
    clock.advance_s(60)
    assert guard.allows_expiry


def test_removed_clients_lower_the_threshold_to_none_at_all_and_then_nothing_expires(
    clock: Clock, guard: SelfPreservation
) -> None:
    guard.registered()
    for _ in range(3):
        guard.removed()
    assert guard.threshold == 0
    guard.registered()  # nobody is expected any more, and so nobody is counted
    assert guard.threshold == 0
    renew(guard, 10)
    clock.advance_s(60)
    assert not guard.allows_expiry


def test_clients_are_recounted_each_quarter_of_an_hour_unless_too_many_are_gone(
    clock: Clock, guard: SelfPreservation
) -> None:
    for _ in range(99):
        guard.registered()
    clock.advance_s(899)
    guard.recount(200)
    assert guard.threshold == 170
    clock.advance_s(1)
    guard.recount(200)
    guard.recount(300)
    assert guard.threshold == 340
    clock.advance_s(900)
    guard.recount(170)
    assert guard.threshold == 340
    clock.advance_s(900)
    guard.recount(171)
    assert guard.threshold == 290

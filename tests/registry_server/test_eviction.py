"""Which leases an eviction pass takes."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.instance import Status
from registry.server.eviction import chosen, eviction_limit
from registry.server.registration import Registration
from registry.server.store import LeaseStore
from tests.registry_server.clock import Clock

Instance = Callable[..., Registration]


@pytest.mark.parametrize(("leases", "limit"), [(0, 0), (1, 1), (6, 1), (7, 2), (13, 2), (14, 3), (100, 15)])
def test_one_pass_takes_fifteen_percent_rounded_up(leases: int, limit: int) -> None:
    assert eviction_limit(leases) == limit


@given(st.lists(st.integers(), unique=True, max_size=30), st.integers(0, 30), st.integers())
def test_it_takes_distinct_expired_ones_within_the_limit(expired: list[int], others: int, seed: int) -> None:
    leases = len(expired) + others
    taken = chosen(expired, leases, Random(seed))
    assert len(taken) == len(set(taken)) == min(len(expired), eviction_limit(leases))
    assert set(taken) <= set(expired)


def test_it_takes_them_at_random() -> None:
    assert len({chosen([1, 2, 3, 4], 4, Random(seed))[0] for seed in range(50)}) == 4


def test_expired_instances_go_pass_by_pass(clock: Clock, instance: Instance) -> None:
    store = LeaseStore(clock, rng=Random(1))
    for number in range(20):
        store.register(instance(instanceId=f"i{number}"))
    clock.advance_s(91)
    sizes = []
    while evicted := store.evict():
        sizes.append(len(evicted))
    assert sizes == [3, 3, 3, 2, 2, 2, 1, 1, 1, 1, 1]
    assert list(store.leases()) == []


def test_a_late_pass_forgives_the_time_it_is_late(store: LeaseStore, clock: Clock, instance: Instance) -> None:
    store.register(instance())
    clock.advance_s(95)
    assert store.evict(late_ms=5000) == []
    assert len(store.evict(late_ms=4999)) == 1


def test_self_preservation_keeps_and_shows_expired_instances(clock: Clock, instance: Instance) -> None:
    store = LeaseStore(clock, self_preservation=True)
    store.register(instance(instanceId="alive", leaseInfo={"durationInSecs": 3600}))
    store.register(instance(instanceId="dead"))
    clock.advance_s(120)
    assert store.preserving
    assert store.evict() == []
    assert store.find("A", "dead") is not None
    for _ in range(6):
        store.renew("A", "alive")
    clock.advance_s(60)
    assert not store.preserving
    assert store.find("A", "dead") is None
    assert [lease.key for lease in store.evict()] == [("A", "dead")]


def test_what_a_client_expects_changes_with_leases_that_are_new_or_gone_only(clock: Clock, instance: Instance) -> None:
    store = LeaseStore(clock, self_preservation=True)
    for _ in range(5):
        store.register(instance(status="UP"))
    for _ in range(5):
        store.cancel("A", "nobody")
    for _ in range(4):
        store.renew("A", "i1")  # two clients: more than three are needed
    clock.advance_s(60)
    assert not store.preserving
    store.register(instance(instanceId="i2"))
    assert store.preserving
    store.cancel("A", "i2")
    assert not store.preserving


def test_a_pass_recounts_who_is_expected(clock: Clock, instance: Instance) -> None:
    store = LeaseStore(clock, self_preservation=True)
    for number in range(10):
        store.register(instance(instanceId=f"i{number}", leaseInfo={"durationInSecs": 3600}))
    clock.advance_s(14 * 60)
    for _ in range(18):
        store.renew("A", "i1")  # more than the 17 of ten clients, not more than the 18 of eleven
    clock.advance_s(60)
    assert store.preserving
    store.evict()
    assert not store.preserving


def test_an_override_is_forgotten_an_hour_after_the_last_heartbeat(clock: Clock, instance: Instance) -> None:
    store = LeaseStore(clock)
    store.register(instance(leaseInfo={"durationInSecs": 100_000}))
    store.override("A", "i1", Status.OUT_OF_SERVICE)
    clock.advance_s(3599)
    store.renew("A", "i1")
    clock.advance_s(3599)
    assert store.overrides == {"i1": Status.OUT_OF_SERVICE}
    clock.advance_s(1)
    assert store.overrides == {}
    store.register(instance(status="DOWN"))
    store.register(instance(status="UP"))
    lease = store.find("A", "i1")
    assert lease is not None
    assert (lease.status, lease.overridden) == (Status.UP, Status.UNKNOWN)

"""The lease store by a manual clock: statuses, dirty timestamps, delta and expiry."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.instance import Status
from registry.server.effective_status import effective_status
from registry.server.json_body import registration_of
from registry.server.lease import Lease, hashcode
from registry.server.registration import PLAIN_CLASS, Registration
from registry.server.store import LeaseStore, Renewal
from tests.registry_server.clock import Clock

Instance = Callable[..., Registration]
UP, DOWN, STARTING, OUT, UNKNOWN = (
    Status.UP,
    Status.DOWN,
    Status.STARTING,
    Status.OUT_OF_SERVICE,
    Status.UNKNOWN,
)


def found(store: LeaseStore, app: str = "A", instance_id: str = "i1") -> Lease:
    lease = store.find(app, instance_id)
    assert lease is not None
    return lease


@pytest.mark.parametrize(
    ("reported", "override", "existing", "effective"),
    [
        (DOWN, OUT, UP, DOWN),  # 1: neither UP nor OUT_OF_SERVICE is trusted
        (STARTING, UP, OUT, STARTING),
        (UNKNOWN, UP, UP, UNKNOWN),
        (UP, OUT, UP, OUT),  # 2: the override
        (UP, DOWN, UP, DOWN),
        (OUT, UP, OUT, UP),
        (UP, None, OUT, OUT),  # 3: the existing lease, if UP or OUT_OF_SERVICE
        (OUT, None, UP, UP),
        (UP, None, DOWN, UP),  # 4: what it reports
        (OUT, None, STARTING, OUT),
        (OUT, None, None, OUT),
        (UP, None, UNKNOWN, UP),
    ],
)
def test_the_first_matching_status_rule_decides(
    reported: Status, override: Status | None, existing: Status | None, effective: Status
) -> None:
    assert effective_status(reported, override, existing) is effective


def test_a_register_body_may_bring_its_override_but_does_not_replace_one(store: LeaseStore, instance: Instance) -> None:
    store.register(instance(overriddenStatus="OUT_OF_SERVICE"))
    assert (found(store).status, found(store).overridden) == (OUT, OUT)
    store.register(instance(overriddenStatus="DOWN"))
    assert (found(store).status, found(store).overridden) == (OUT, OUT)


@pytest.mark.parametrize(("incoming", "host"), [(99, "h1"), (100, "new"), (101, "new")])
def test_only_an_older_registration_leaves_the_stored_one(
    store: LeaseStore, instance: Instance, incoming: int, host: str
) -> None:
    store.register(instance())
    store.register(instance(hostName="new", lastDirtyTimestamp=incoming))
    assert found(store).registration.host == host
    assert found(store).last_dirty_ms == max(100, incoming)


def test_a_registration_without_a_dirty_timestamp_counts_as_of_now(
    store: LeaseStore, clock: Clock, instance: Instance
) -> None:
    store.register(instance(lastDirtyTimestamp=None))
    assert found(store).last_dirty_ms == clock.now_ms


@pytest.mark.parametrize(
    ("incoming", "found_stored"),
    [
        (None, Renewal.SAME),
        (99, Renewal.STORED_IS_NEWER),
        (100, Renewal.SAME),
        (101, Renewal.STORED_IS_OLDER),
    ],
)
def test_a_heartbeat_says_which_description_is_newer_and_renews_whichever(
    store: LeaseStore, clock: Clock, instance: Instance, incoming: int | None, found_stored: Renewal
) -> None:
    store.register(instance())
    clock.advance_s(60)
    assert store.renew("A", "i1", incoming) is found_stored
    clock.advance_s(60)
    assert store.find("A", "i1") is not None


def test_a_heartbeat_of_an_instance_in_unknown_is_refused_and_does_not_renew(
    store: LeaseStore, clock: Clock, instance: Instance
) -> None:
    store.register(instance(status="UNKNOWN"))
    clock.advance_s(60)
    assert store.renew("A", "i1") is Renewal.UNKNOWN
    clock.advance_s(31)
    assert store.find("A", "i1") is None


@pytest.mark.parametrize("by_metadata", [True, False])
def test_an_override_that_was_dropped_does_not_return_with_the_stored_description(
    store: LeaseStore, instance: Instance, by_metadata: bool
) -> None:
    store.register(instance(overriddenStatus="OUT_OF_SERVICE"))
    store.drop_override("A", "i1", UP)
    if by_metadata:
        store.put_metadata("A", "i1", {"a": "b"})
    else:
        store.register(instance(lastDirtyTimestamp=99))  # older, so the stored one is installed again
    assert (found(store).status, found(store).overridden, store.overrides) == (UP, UNKNOWN, {})


def test_a_peers_override_shows_at_once_and_decides_from_the_next_heartbeat(
    store: LeaseStore, instance: Instance
) -> None:
    store.register(instance(status="UP"))
    revisions = [store.revision]
    store.adopt_override("A", "i1", OUT)
    revisions.append(store.revision)
    assert (found(store).status, found(store).overridden) == (UP, OUT)
    store.renew("A", "i1")
    revisions.append(store.revision)
    assert found(store).status is OUT
    assert len(set(revisions)) == 3
    store.adopt_override("A", "nobody", OUT)
    assert store.overrides == {"i1": OUT}


def test_heartbeats_do_not_make_lists_read_differently(store: LeaseStore, clock: Clock, instance: Instance) -> None:
    store.register(instance())
    revision = store.revision
    store.renew("A", "i1")
    assert store.revision == revision
    clock.advance_s(181)
    assert store.revision != revision  # the delta has forgotten it


def test_a_replicated_registration_is_believed(store: LeaseStore, instance: Instance) -> None:
    for status in (UP, OUT, UP):
        store.register(instance(status=status.value), replicated=True)
        assert found(store).status is status


def test_an_override_of_the_same_status_changes_nothing_but_renews(
    store: LeaseStore, clock: Clock, instance: Instance
) -> None:
    store.register(instance(status="UP"))
    version = store.version
    clock.advance_s(60)
    assert store.override("A", "i1", UP)
    assert (store.version, found(store).overridden, found(store).action) == (version, UNKNOWN, "ADDED")
    clock.advance_s(60)
    assert store.find("A", "i1") is not None


def test_an_override_only_ever_raises_the_dirty_timestamp(store: LeaseStore, instance: Instance) -> None:
    store.register(instance())
    store.override("A", "i1", DOWN, 50)
    assert found(store).last_dirty_ms == 100
    store.override("A", "i1", OUT, 150)
    assert found(store).last_dirty_ms == 150


def test_dropping_an_override_that_is_not_there_changes_nothing(store: LeaseStore, instance: Instance) -> None:
    store.register(instance())
    version = store.version
    assert store.drop_override("A", "i1")
    assert (found(store).status, store.version) == (UP, version)


def test_cancelling_an_unknown_instance_still_drops_the_override_of_its_id(
    store: LeaseStore, instance: Instance
) -> None:
    store.register(instance())
    store.override("A", "i1", OUT)
    assert not store.cancel("B", "i1")
    store.register(instance(status="DOWN"))
    store.register(instance(status="UP"))
    assert found(store).status is UP


def test_the_time_it_came_up_survives_new_registrations(store: LeaseStore, clock: Clock, instance: Instance) -> None:
    store.register(instance(status="STARTING"))
    assert found(store).service_up_ms == 0
    clock.advance_s(1)
    up_ms = clock.now_ms
    for status in ("UP", "DOWN", "UP"):
        store.register(instance(status=status))
        clock.advance_s(1)
    assert found(store).service_up_ms == up_ms
    assert found(store).registered_ms == clock.now_ms - 1000


def test_an_override_brings_up_who_never_was(store: LeaseStore, clock: Clock, instance: Instance) -> None:
    store.register(instance(status="STARTING"))
    clock.advance_s(1)
    store.override("A", "i1", UP)
    assert found(store).service_up_ms == clock.now_ms


@pytest.mark.parametrize(("strict", "lifetime_s"), [(False, 90), (True, 180)])
def test_an_instance_stays_one_lease_after_its_last_heartbeat_or_two_when_strict(
    clock: Clock, instance: Instance, strict: bool, lifetime_s: int
) -> None:
    store = LeaseStore(clock, strict_leases=strict)
    store.register(instance())
    store.renew("A", "i1")
    clock.advance_s(lifetime_s)
    assert store.find("A", "i1") is not None
    assert store.evict() == []
    clock.advance_s(0.001)
    assert store.find("A", "i1") is None
    assert [lease.key for lease in store.evict()] == [("A", "i1")]


def test_an_expired_instance_is_hidden_by_id_and_listed_until_it_is_evicted(
    store: LeaseStore, clock: Clock, instance: Instance
) -> None:
    store.register(instance(leaseInfo={"durationInSecs": 2}))
    clock.advance_s(2.1)
    assert store.find_by_id("i1") is None
    assert len(store.application("A")) == 1
    store.evict()
    assert store.application("A") == []
    assert [(lease.action, lease.evicted_ms) for lease in store.changes()] == [("DELETED", clock.now_ms)]


def test_a_late_heartbeat_revives_a_lease_that_is_not_evicted_yet(
    store: LeaseStore, clock: Clock, instance: Instance
) -> None:
    store.register(instance(leaseInfo={"durationInSecs": 2}))
    clock.advance_s(2.1)
    assert store.renew("A", "i1") is Renewal.SAME
    assert store.evict() == []


def test_eviction_drops_the_override(store: LeaseStore, clock: Clock, instance: Instance) -> None:
    store.register(instance())
    store.override("A", "i1", OUT)
    clock.advance_s(91)
    store.evict()
    store.register(instance())
    assert found(store).status is UP


def test_changes_are_forgotten_after_the_retention(clock: Clock, instance: Instance) -> None:
    store = LeaseStore(clock, delta_retention_ms=180_000)
    store.register(instance(instanceId="i1", leaseInfo={"durationInSecs": 1000}))
    clock.advance_s(100)
    store.register(instance(instanceId="i2", leaseInfo={"durationInSecs": 1000}))
    clock.advance_s(80)
    assert [lease.registration.id for lease in store.changes()] == ["i1", "i2"]
    clock.advance_s(1)
    assert [lease.registration.id for lease in store.changes()] == ["i2"]


def test_a_renewed_change_is_kept_from_its_latest_time(store: LeaseStore, clock: Clock, instance: Instance) -> None:
    store.register(instance(instanceId="i1", leaseInfo={"durationInSecs": 1000}))
    store.register(instance(instanceId="i2", leaseInfo={"durationInSecs": 1000}))
    clock.advance_s(100)
    store.override("A", "i1", DOWN)
    clock.advance_s(100)
    assert [(lease.registration.id, lease.status) for lease in store.changes()] == [("i1", DOWN)]


def test_the_same_id_in_two_applications_is_two_instances(store: LeaseStore, instance: Instance) -> None:
    store.register(instance(app="A"))
    store.register(instance(app="B"))
    store.cancel("A", "i1")
    assert [lease.key for lease in store.leases()] == [("B", "i1")]
    assert found(store, "B").status is UP


ids = st.sampled_from(["i1", "i2", "i3"])
statuses = st.sampled_from(["UP", "DOWN", "STARTING", "OUT_OF_SERVICE"])
steps = st.lists(st.tuples(st.sampled_from(["register", "cancel", "override", "drop", "evict"]), ids, statuses))


@given(before=steps, after=steps)
def test_a_full_read_and_the_delta_since_give_the_registry_of_now(
    before: list[tuple[str, str, str]], after: list[tuple[str, str, str]]
) -> None:
    now_ms = [1_000_000]
    store = LeaseStore(lambda: now_ms[0])
    _play(store, now_ms, before)
    view = {lease.key: lease.status for lease in store.leases()}
    _play(store, now_ms, after)
    for lease in store.changes():
        if lease.action == "DELETED":
            view.pop(lease.key, None)
        else:
            view[lease.key] = lease.status
    assert view == {lease.key: lease.status for lease in store.leases()}


def _play(store: LeaseStore, now_ms: list[int], played: list[tuple[str, str, str]]) -> None:
    for step, instance_id, status in played:
        now_ms[0] += 700
        if step == "register":
            store.register(_short_lived(instance_id, status))
        elif step == "cancel":
            store.cancel("A", instance_id)
        elif step == "override":
            store.override("A", instance_id, Status(status))
        elif step == "drop":
            store.drop_override("A", instance_id, Status(status))
        else:
            store.evict()


def _short_lived(instance_id: str, status: str) -> Registration:
    plain = {"hostName": "h", "app": "A", "ipAddr": "1", "dataCenterInfo": {"@class": PLAIN_CLASS, "name": "MyOwn"}}
    return registration_of({**plain, "instanceId": instance_id, "status": status, "leaseInfo": {"durationInSecs": 2}})


def test_the_hashcode_counts_statuses_in_order_of_their_names(store: LeaseStore, instance: Instance) -> None:
    assert hashcode(store.leases()) == ""
    for number, status in enumerate(["UP", "DOWN", "UP", "OUT_OF_SERVICE"]):
        store.register(instance(instanceId=f"i{number}", status=status))
    assert hashcode(store.leases()) == "DOWN_1_OUT_OF_SERVICE_1_UP_2_"

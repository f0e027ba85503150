import asyncio
import json
import threading
from collections.abc import Callable, Collection, Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from registry import discovery as discovery_module
from registry.codec import Action, Entry, decode_applications
from registry.discovery import Discovery, apply_delta
from registry.instance import Instance, Status
from registry.server_url import Server
from registry.snapshot import EMPTY, Snapshot
from registry.transport import EurekaUnavailable, Reply

INTERVAL_S = 30
SERVER = Server.parse("http://eureka/")


def instance(name: str, status: Status = Status.UP, port: int = 80) -> Instance:
    app, _, number = name.partition("-")
    return Instance(app=app.upper(), id=f"{name}-{number}", host=name, ip="10.0.0.1", port=port, status=status)


def document(entries: Iterable[tuple[Action, Instance]], hashcode: str) -> bytes:
    raw = [
        {
            "instanceId": each.id,
            "hostName": each.host,
            "app": each.app,
            "ipAddr": each.ip,
            "status": each.status.value,
            "port": {"$": each.port, "@enabled": "true"},
            "actionType": action.value,
        }
        for action, each in entries
    ]
    applications = {"apps__hashcode": hashcode, "application": [{"name": "ANY", "instance": raw}]}
    return json.dumps({"applications": applications}).encode()


class Eureka:
    """A server with a registry, what changed in it lately, and ways to fail."""

    def __init__(self, *instances: Instance) -> None:
        self.listed = {each.id: each for each in instances}
        self.changes: list[tuple[Action, Instance]] = []
        self.asked: list[str] = []
        self.delta_status = 200
        self.failure: Exception | None = None
        self.body: bytes | None = None  # instead of the truth
        self.hashcode: str | None = None  # instead of the truth
        self.distrusted: list[Reply] = []

    def put(self, new: Instance) -> None:
        self.listed[new.id] = new
        self.changes.append((Action.ADDED, new))

    def drop(self, old: Instance) -> None:
        del self.listed[old.id]
        self.changes.append((Action.DELETED, old))

    def distrust(self, reply: Reply) -> None:
        self.distrusted.append(reply)

    async def request(self, method: str, path: str, *, accept: Collection[int] = ()) -> Reply:
        self.asked.append(path)
        if self.failure is not None:
            raise self.failure
        hashcode = self.hashcode if self.hashcode is not None else Snapshot.of(self.listed.values()).hashcode
        if path == "apps/delta" and self.delta_status != 200:
            assert self.delta_status in accept
            return Reply(self.delta_status, b"", SERVER)
        if self.body is not None:
            return Reply(200, self.body, SERVER)
        if path == "apps/delta":
            return Reply(200, document(self.changes, hashcode), SERVER)
        assert path == "apps/"
        return Reply(200, document(((Action.ADDED, each) for each in self.listed.values()), hashcode), SERVER)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


A, B, C, D = (instance(f"orders-{n}") for n in range(4))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def eureka() -> Eureka:
    return Eureka(A, B, C)


@pytest.fixture
def slept() -> list[float]:
    """The waits within reads."""
    return []


@pytest.fixture
def discovery(eureka: Eureka, clock: Clock, slept: list[float]) -> Discovery:
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    return Discovery(eureka, fetch_interval_s=INTERVAL_S, clock=clock, rng=Random(5), sleep=sleep)


def ids(snapshot: Snapshot) -> set[str]:
    return {each.id for each in snapshot.instances.values()}


async def test_the_first_read_is_everything_and_the_next_only_what_changed(
    discovery: Discovery, eureka: Eureka
) -> None:
    assert not discovery.first_read.is_set()
    assert discovery.age_s is None
    await discovery.refresh()
    assert discovery.first_read.is_set()
    assert ids(discovery.snapshot) == {A.id, B.id, C.id}
    eureka.put(D)
    eureka.drop(A)
    await discovery.refresh()
    assert ids(discovery.snapshot) == {B.id, C.id, D.id}
    assert eureka.asked == ["apps/", "apps/delta"]


@pytest.mark.parametrize("status", [403, 404])
async def test_a_server_without_deltas_is_read_in_full(discovery: Discovery, eureka: Eureka, status: int) -> None:
    await discovery.refresh()
    eureka.delta_status = status
    eureka.put(D)
    await discovery.refresh()
    assert D.id in ids(discovery.snapshot)
    assert eureka.asked == ["apps/", "apps/delta", "apps/"]
    assert discovery.fetch_failures_total == 0


async def test_a_hash_that_does_not_match_leads_to_a_full_read_after_a_short_random_wait(
    discovery: Discovery, eureka: Eureka, slept: list[float]
) -> None:
    await discovery.refresh()
    eureka.put(D)
    eureka.changes.clear()
    await discovery.refresh()
    assert ids(discovery.snapshot) == {A.id, B.id, C.id, D.id}
    assert eureka.asked == ["apps/", "apps/delta", "apps/"]
    assert [0.0 < pause_s <= 5.0 for pause_s in slept] == [True]


async def test_a_delta_that_does_not_match_is_never_shown(discovery: Discovery, eureka: Eureka) -> None:
    await discovery.refresh()
    seen: list[Snapshot] = []
    discovery.subscribe(seen.append)
    eureka.put(D)
    eureka.changes.append((Action.DELETED, A))
    await discovery.refresh()
    assert [ids(snapshot) for snapshot in seen] == [{A.id, B.id, C.id, D.id}]


async def test_every_tenth_read_is_full_because_the_hash_cannot_see_a_swap(
    discovery: Discovery, eureka: Eureka
) -> None:
    await discovery.refresh()
    eureka.listed = {each.id: each for each in (D, B, C)}
    for _ in range(9):
        await discovery.refresh()
    assert eureka.asked == ["apps/"] + ["apps/delta"] * 9
    assert ids(discovery.snapshot) == {A.id, B.id, C.id}
    await discovery.refresh()
    assert eureka.asked[-1] == "apps/"
    assert ids(discovery.snapshot) == {B.id, C.id, D.id}
    await discovery.refresh()
    assert eureka.asked[-1] == "apps/delta"


async def test_after_a_gap_longer_than_the_servers_memory_everything_is_read_again(
    discovery: Discovery, eureka: Eureka, clock: Clock
) -> None:
    await discovery.refresh()
    clock.now_s += 119
    await discovery.refresh()
    clock.now_s += 121
    await discovery.refresh()
    assert eureka.asked == ["apps/", "apps/delta", "apps/"]


@pytest.mark.parametrize("garbage", [b"", b"<applications/>", b'{"applications":7}', b"[" * 50_000])
async def test_the_last_good_snapshot_outlives_garbage(
    discovery: Discovery, eureka: Eureka, clock: Clock, garbage: bytes
) -> None:
    await discovery.refresh()
    good = discovery.snapshot
    eureka.body = garbage
    clock.now_s += 1000
    pause_s = await discovery.refresh()
    assert discovery.snapshot is good
    assert (discovery.fetches_total, discovery.fetch_failures_total) == (2, 1)
    assert discovery.age_s == 1000
    assert 0.9 * INTERVAL_S <= pause_s <= 1.1 * INTERVAL_S


async def test_the_last_good_snapshot_outlives_an_outage_which_is_logged_once(
    discovery: Discovery, eureka: Eureka
) -> None:
    await discovery.refresh()
    good = discovery.snapshot
    with capture_logs() as logs:
        eureka.failure = EurekaUnavailable("http://***@eureka/: timed out")
        for _ in range(5):
            await discovery.refresh()
        eureka.failure = None
        await discovery.refresh()
        await discovery.refresh()
    assert discovery.snapshot is good
    assert discovery.fetch_failures_total == 5
    assert [line["event"] for line in logs] == ["eureka unreachable", "eureka reachable again"]


async def test_before_the_first_read_failures_are_retried_soon_but_ever_more_slowly(
    discovery: Discovery, eureka: Eureka
) -> None:
    eureka.failure = EurekaUnavailable("down")
    pauses = [await discovery.refresh() for _ in range(60)]
    assert all(pause <= min(5.0, 0.2 * 2**failures) for failures, pause in enumerate(pauses))
    assert max(pauses) > 3
    assert not discovery.first_read.is_set()
    eureka.failure = None
    assert await discovery.refresh() >= 0.9 * INTERVAL_S
    assert discovery.first_read.is_set()


async def test_an_empty_registry_that_has_been_read_has_been_read(clock: Clock) -> None:
    discovery = Discovery(Eureka(), fetch_interval_s=1, clock=clock, rng=Random(1))
    await discovery.refresh()
    assert discovery.first_read.is_set()
    assert discovery.snapshot == EMPTY
    await discovery.refresh()
    assert discovery.fetch_failures_total == 0


async def test_subscribers_hear_of_changes_only(discovery: Discovery, eureka: Eureka) -> None:
    seen: list[Snapshot] = []
    discovery.subscribe(seen.append)
    await discovery.refresh()
    await discovery.refresh()
    assert seen == [discovery.snapshot]
    eureka.put(D)
    for _ in range(3):  # a server repeats an entry for three minutes
        await discovery.refresh()
    assert len(seen) == 2
    assert seen[-1] is discovery.snapshot


async def test_an_unreadable_instance_is_counted_and_does_not_cause_full_reads_for_ever(
    discovery: Discovery, eureka: Eureka
) -> None:
    bad = instance("bad-1", port=99999)
    eureka.listed[bad.id] = bad
    with capture_logs() as logs:
        await discovery.refresh()
        for _ in range(3):
            await discovery.refresh()
    assert ids(discovery.snapshot) == {A.id, B.id, C.id}
    assert discovery.unreadable_instances == 1
    assert eureka.asked == ["apps/"] + ["apps/delta"] * 3
    events = [line["event"] for line in logs]
    assert events.count("registry lists instances that cannot be read") == 1


async def test_a_restarted_empty_server_does_not_take_the_instances_away(
    discovery: Discovery, eureka: Eureka, clock: Clock
) -> None:
    await discovery.refresh()
    eureka.listed.clear()
    eureka.changes.clear()
    await discovery.refresh()
    assert ids(discovery.snapshot) == {A.id, B.id, C.id}
    assert discovery.held_instances == 3
    eureka.put(A)
    clock.now_s += 60
    await discovery.refresh()
    assert ids(discovery.snapshot) == {A.id, B.id, C.id}
    assert discovery.held_instances == 2
    clock.now_s += 31
    await discovery.refresh()
    assert ids(discovery.snapshot) == {A.id}
    assert discovery.held_instances == 0
    assert eureka.asked == ["apps/", "apps/delta", "apps/", "apps/delta", "apps/"], "a full read confirms"


async def test_a_shrink_that_a_delta_names_is_confirmed_by_a_second_read_at_once(
    discovery: Discovery, eureka: Eureka
) -> None:
    await discovery.refresh()
    eureka.drop(A)
    eureka.drop(B)
    with capture_logs() as logs:
        await discovery.refresh()
    assert ids(discovery.snapshot) == {C.id}
    assert discovery.held_instances == 0
    assert eureka.asked == ["apps/", "apps/delta", "apps/"]
    assert [line["event"] for line in logs] == ["registry shrinks, asking again"]


async def test_a_shrink_that_the_second_read_denies_never_shows(discovery: Discovery, eureka: Eureka) -> None:
    await discovery.refresh()
    seen: list[Snapshot] = []
    discovery.subscribe(seen.append)
    eureka.changes = [(Action.DELETED, A), (Action.DELETED, B)]
    eureka.hashcode = "UP_1_"
    await discovery.refresh()
    assert seen == []
    assert ids(discovery.snapshot) == {A.id, B.id, C.id}


async def test_an_outage_does_not_confirm_a_shrink(discovery: Discovery, eureka: Eureka, clock: Clock) -> None:
    await discovery.refresh()
    eureka.listed.clear()
    await discovery.refresh()
    eureka.failure = EurekaUnavailable("down again")
    clock.now_s += 1000
    await discovery.refresh()
    assert ids(discovery.snapshot) == {A.id, B.id, C.id}


async def test_a_server_that_sends_garbage_is_distrusted(discovery: Discovery, eureka: Eureka) -> None:
    eureka.body = b"junk"
    await discovery.refresh()
    assert [reply.body for reply in eureka.distrusted] == [b"junk"]


async def test_refused_instances_are_listed_and_counted_but_not_callable(eureka: Eureka, clock: Clock) -> None:
    refused = {A.id, D.id}
    discovery = Discovery(
        eureka,
        fetch_interval_s=INTERVAL_S,
        clock=clock,
        rng=Random(5),
        refusal=lambda each: "loopback" if each.id in refused else None,
    )
    with capture_logs() as logs:
        await discovery.refresh()
        eureka.put(D)
        await discovery.refresh()
        await discovery.refresh()
    assert eureka.asked == ["apps/", "apps/delta", "apps/delta"], "the hash counts them"
    assert services(discovery.snapshot) == {"orders": {B.id, C.id}}
    assert discovery.refusals.total == {"loopback": 2}
    assert [line["instance"] for line in logs if line["event"] == "instance refused"] == [A.id, D.id]


# what an earlier process read


async def test_what_was_restored_is_used_until_a_server_answers(
    discovery: Discovery, eureka: Eureka, clock: Clock
) -> None:
    eureka.failure = EurekaUnavailable("down")
    await discovery.refresh()
    assert discovery.first_attempt.is_set()
    assert not discovery.first_read.is_set()
    discovery.restore(Snapshot.of([A, B, D]), age_s=500.0)
    clock.now_s += 10
    assert discovery.first_read.is_set()
    assert (discovery.restored, discovery.age_s) == (True, 510.0)
    assert ids(discovery.snapshot) == {A.id, B.id, D.id}
    assert await discovery.refresh() <= 5.0, "it keeps asking soon"
    eureka.failure = None
    await discovery.refresh()
    assert (discovery.restored, discovery.age_s) == (False, 0.0)
    assert ids(discovery.snapshot) == {A.id, B.id, C.id}
    assert eureka.asked[-1] == "apps/"
    discovery.restore(Snapshot.of([D]), age_s=1.0)
    assert ids(discovery.snapshot) == {A.id, B.id, C.id}, "too late"


async def test_what_was_restored_is_guarded_against_an_empty_server_too(discovery: Discovery, eureka: Eureka) -> None:
    discovery.restore(Snapshot.of([A, B]), age_s=5.0)
    eureka.listed.clear()
    await discovery.refresh()
    assert ids(discovery.snapshot) == {A.id, B.id}
    assert discovery.held_instances == 2


async def test_run_reads_again_after_each_pause(eureka: Eureka, clock: Clock) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    discovery = Discovery(eureka, fetch_interval_s=INTERVAL_S, clock=clock, rng=Random(5), sleep=sleep)
    with pytest.raises(asyncio.CancelledError):
        await discovery.run()
    assert eureka.asked == ["apps/", "apps/delta", "apps/delta"]
    assert len(set(pauses)) == 3, "jitter"
    assert all(0.9 * INTERVAL_S <= pause <= 1.1 * INTERVAL_S for pause in pauses)


@pytest.mark.parametrize(("size_bytes", "elsewhere"), [(1_000, False), (1_100_000, True)])
async def test_only_large_documents_are_decoded_in_a_thread(
    discovery: Discovery, eureka: Eureka, monkeypatch: pytest.MonkeyPatch, size_bytes: int, elsewhere: bool
) -> None:
    threads: list[threading.Thread] = []

    def decode(body: bytes, pause: Callable[[], None]) -> object:
        threads.append(threading.current_thread())
        return decode_applications(body, pause)

    monkeypatch.setattr(discovery_module, "decode_applications", decode)
    eureka.body = document([(Action.ADDED, A)], "UP_1_").ljust(size_bytes)
    await discovery.refresh()
    assert ids(discovery.snapshot) == {A.id}
    assert (threads[0] is not threading.main_thread()) is elsewhere


INSTANCES = st.builds(
    instance,
    st.sampled_from([f"{app}-{number}" for app in ("orders", "users") for number in range(4)]),
    st.sampled_from(list(Status)),
    st.integers(1, 3),
)
REGISTRIES = st.lists(INSTANCES).map(Snapshot.of)


def services(snapshot: Snapshot) -> dict[str, set[str]]:
    return {name: {each.id for each in snapshot.callable_instances(name) or ()} for name in snapshot.services}


@given(before=REGISTRIES, after=REGISTRIES, order=st.randoms(use_true_random=False))
def test_a_delta_leads_to_the_same_registry_as_a_full_read(before: Snapshot, after: Snapshot, order: Random) -> None:
    gone = before.instances.keys() - after.instances.keys()
    entries = [Entry(Action.DELETED, before.instances[key]) for key in gone]
    upserts = (Action.ADDED, Action.MODIFIED)
    entries += [Entry(order.choice(upserts), new) for new in after.instances.values()]
    order.shuffle(entries)
    applied = apply_delta(before, entries)
    assert applied.instances == after.instances
    assert services(applied) == services(after)
    assert applied.hashcode == after.hashcode
    assert apply_delta(applied, entries) is applied, "a delta may be repeated"


@given(before=REGISTRIES, entry=INSTANCES)
def test_applying_a_delta_leaves_the_old_snapshot_alone(before: Snapshot, entry: Instance) -> None:
    contents = dict(before.instances)
    apply_delta(before, [Entry(Action.ADDED, entry)])
    apply_delta(before, [Entry(Action.DELETED, entry)])
    assert before.instances == contents

import asyncio
from dataclasses import dataclass, field
from random import Random

import pytest
from structlog.testing import capture_logs

from registry.codec import GarbledRegistry, Stored
from registry.instance import Status
from registry.registration import Registration
from registry.renewal import Registrar
from registry.transport import EurekaUnavailable

INTERVAL_S = 30
ORDERS = Registration(
    app="orders", instance_id="o1", host="h", ip="10.0.0.1", port=80, vip="orders", renewal_interval_s=INTERVAL_S
)


@dataclass
class Time:
    monotonic_s: float = 0.0
    epoch_ms: int = 1_000_000

    def pass_by(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.epoch_ms += round(seconds * 1000)


@dataclass
class Eureka:
    """A server: what it lists, and every write that arrived."""

    listed: Status | None = None
    overridden: bool = False
    stored_past: Stored | Exception | None = None  # what an earlier life left
    metadata: dict[str, str] = field(default_factory=dict)  # of the last registration
    up: bool = True
    refuses: str = ""  # this call fails
    calls: list[tuple[str, Status | None, int]] = field(default_factory=list)
    gate: asyncio.Event | None = None  # while there is one and it is not set, writes hang
    called: asyncio.Event = field(default_factory=asyncio.Event)

    async def _arrive(self, call: str, status: Status | None = None, dirty_ms: int = 0) -> None:
        self.calls.append((call, status, dirty_ms))
        self.called.set()
        if self.gate is not None:
            await self.gate.wait()
        if not self.up or call == self.refuses:
            raise EurekaUnavailable("http://***@eureka/: HTTP 503")

    async def stored(self, registration: Registration) -> Stored | None:
        if isinstance(self.stored_past, Exception):
            raise self.stored_past
        return self.stored_past

    async def remove_override(self, registration: Registration, dirty_ms: int) -> bool:
        await self._arrive("remove override", None, dirty_ms)
        return True

    async def register(self, registration: Registration, status: Status, dirty_ms: int) -> None:
        await self._arrive("register", status, dirty_ms)
        self.metadata = dict(registration.metadata)
        self.listed = status

    async def heartbeat(self, registration: Registration, status: Status, dirty_ms: int) -> bool:
        await self._arrive("heartbeat", status, dirty_ms)
        return self.listed is not None

    async def cancel(self, registration: Registration) -> bool:
        await self._arrive("cancel")
        self.listed, known = None, self.listed is not None
        return known

    async def override_status(self, registration: Registration, status: Status, dirty_ms: int) -> bool:
        await self._arrive("override", status, dirty_ms)
        self.overridden = self.listed is not None
        return self.overridden

    def forget(self) -> None:
        self.listed, self.overridden = None, False

    @property
    def verbs(self) -> list[str]:
        return [call for call, _, _ in self.calls]

    async def next_call(self) -> tuple[str, Status | None, int]:
        self.called.clear()
        await self.called.wait()
        return self.calls[-1]


async def only_when_woken(event: asyncio.Event, timeout_s: float) -> None:
    await event.wait()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def eureka() -> Eureka:
    return Eureka()


@pytest.fixture
def registrar(eureka: Eureka, time: Time) -> Registrar:
    return Registrar(
        ORDERS,
        eureka,
        clock=lambda: time.monotonic_s,
        epoch_ms=lambda: time.epoch_ms,
        rng=Random(7),
        wait=only_when_woken,
        settle_s=0.01,
        farewell_s=0.02,
    )


async def test_it_registers_as_starting_at_once_and_each_status_as_soon_as_it_is_known(
    registrar: Registrar, eureka: Eureka
) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(registrar.run())
        assert (await eureka.next_call())[:2] == ("register", Status.STARTING)
        registrar.set_status(Status.UP)
        assert (await eureka.next_call())[:2] == ("register", Status.UP)
        registrar.set_status(Status.DOWN)
        assert (await eureka.next_call())[:2] == ("register", Status.DOWN)
        await registrar.close()
    assert eureka.verbs == ["register", "register", "register", "cancel"]


async def test_an_unchanged_status_sends_nothing(registrar: Registrar, eureka: Eureka) -> None:
    await registrar.renew()
    registrar.set_status(Status.STARTING)
    await registrar.renew()
    assert eureka.verbs == ["register", "heartbeat"]


async def test_a_registered_app_sends_heartbeats_within_the_interval(
    registrar: Registrar, eureka: Eureka, time: Time
) -> None:
    pauses = [await registrar.renew() for _ in range(50)]
    assert eureka.verbs == ["register"] + ["heartbeat"] * 49
    assert all(0.9 * INTERVAL_S <= pause <= INTERVAL_S for pause in pauses)
    assert len(set(pauses)) > 40, "jitter"
    assert registrar.registered
    assert registrar.heartbeats_total == 49
    assert registrar.registrations_total == 1
    assert registrar.heartbeat_failures_total == 0
    assert registrar.last_heartbeat_epoch_s == time.epoch_ms / 1000


async def test_a_slow_answer_does_not_delay_the_next_heartbeat(
    registrar: Registrar, eureka: Eureka, time: Time
) -> None:
    await registrar.renew()
    eureka.gate = asyncio.Event()
    renewing = asyncio.create_task(registrar.renew())
    await eureka.next_call()
    time.pass_by(8)
    eureka.gate.set()
    assert 0.9 * INTERVAL_S - 8 <= await renewing <= INTERVAL_S - 8


async def test_a_forgotten_instance_registers_again_at_once_with_its_true_status_and_a_newer_timestamp(
    registrar: Registrar, eureka: Eureka
) -> None:
    registrar.set_status(Status.DOWN)
    await registrar.renew()
    eureka.forget()
    with capture_logs() as logs:
        await registrar.renew()
    first, heartbeat, again = eureka.calls
    assert heartbeat == ("heartbeat", Status.DOWN, first[2])
    assert again[:2] == ("register", Status.DOWN)
    assert again[2] > first[2]
    assert [line["event"] for line in logs] == ["registration lost", "registered"]
    assert registrar.registrations_total == 2
    await registrar.renew()
    assert eureka.verbs[-1] == "heartbeat"


async def test_a_forgotten_instance_that_cannot_register_is_not_registered_until_it_can(
    registrar: Registrar, eureka: Eureka
) -> None:
    await registrar.renew()
    eureka.forget()
    eureka.refuses = "register"
    await registrar.renew()
    assert not registrar.registered
    eureka.refuses = ""
    await registrar.renew()
    assert registrar.registered
    assert eureka.verbs == ["register", "heartbeat", "register", "register"]


async def test_a_failed_heartbeat_is_counted_and_never_answered_with_a_registration(
    registrar: Registrar, eureka: Eureka
) -> None:
    await registrar.renew()
    eureka.up = False
    for _ in range(20):
        await registrar.renew()
    eureka.up = True
    await registrar.renew()
    assert eureka.verbs == ["register"] + ["heartbeat"] * 21
    assert registrar.heartbeat_failures_total == 20
    assert registrar.heartbeats_total == 1
    assert registrar.registered


async def test_failures_are_retried_sooner_with_jitter_and_never_later_than_the_interval(
    registrar: Registrar, eureka: Eureka
) -> None:
    eureka.up = False
    pauses = [await registrar.renew() for _ in range(40)]
    assert not registrar.registered
    assert all(pause <= min(INTERVAL_S, 2**failures) for failures, pause in enumerate(pauses))
    assert len(set(pauses)) == 40
    assert max(pauses) > INTERVAL_S / 2
    eureka.up = True
    await registrar.renew()
    eureka.up = False
    assert await registrar.renew() <= 1.0, "a success starts the backoff afresh"


async def test_an_outage_is_logged_once_and_so_is_its_end(registrar: Registrar, eureka: Eureka) -> None:
    await registrar.renew()
    with capture_logs() as logs:
        eureka.up = False
        for _ in range(5):
            await registrar.renew()
        eureka.up = True
        for _ in range(5):
            await registrar.renew()
    assert [line["event"] for line in logs] == ["eureka unreachable", "eureka reachable again"]
    assert logs[0]["reason"] == "http://***@eureka/: HTTP 503"


@pytest.mark.parametrize("outage_s", [1, 29, 120, 1200])
async def test_a_server_that_comes_back_empty_lists_us_within_one_interval(
    registrar: Registrar, eureka: Eureka, time: Time, outage_s: int
) -> None:
    await registrar.renew()
    back_s = time.monotonic_s + outage_s
    eureka.up = False
    eureka.forget()
    while eureka.listed is None:
        eureka.up = time.monotonic_s >= back_s
        renewed_s = time.monotonic_s
        time.pass_by(await registrar.renew())
    assert back_s <= renewed_s <= back_s + INTERVAL_S


async def test_timestamps_increase_even_when_the_wall_clock_steps_back(
    registrar: Registrar, eureka: Eureka, time: Time
) -> None:
    await registrar.renew()
    for status in (Status.UP, Status.DOWN, Status.UP):
        time.epoch_ms -= 3_600_000
        registrar.set_status(status)
        await registrar.renew()
    time.epoch_ms += 100_000_000
    registrar.set_status(Status.DOWN)
    await registrar.renew()
    stamps = [dirty_ms for _, _, dirty_ms in eureka.calls]
    assert eureka.verbs == ["register"] * 5
    assert stamps == sorted(set(stamps))
    assert stamps[-1] == time.epoch_ms


async def test_a_status_that_changes_while_a_registration_is_in_flight_is_sent_next(
    registrar: Registrar, eureka: Eureka
) -> None:
    eureka.gate = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(registrar.run())
        await eureka.next_call()
        registrar.set_status(Status.UP)
        eureka.gate.set()
        assert (await eureka.next_call())[:2] == ("register", Status.UP)
        await registrar.close()


@pytest.mark.parametrize("status", [Status.OUT_OF_SERVICE, Status.UNKNOWN])
def test_statuses_that_an_instance_must_not_report_are_refused(registrar: Registrar, status: Status) -> None:
    with pytest.raises(ValueError, match="allowed: STARTING, UP, DOWN"):
        registrar.set_status(status)


async def test_nothing_is_sent_after_close_and_closing_again_changes_nothing(
    registrar: Registrar, eureka: Eureka
) -> None:
    await registrar.renew()
    await registrar.close()
    await asyncio.gather(registrar.close(), registrar.close())
    registrar.set_status(Status.UP)
    await registrar.renew()
    await registrar.drain()
    await asyncio.wait_for(registrar.run(), 1)
    assert eureka.verbs == ["register", "cancel"]
    assert eureka.listed is None
    assert not registrar.registered


async def test_closes_at_the_same_time_say_goodbye_once(registrar: Registrar, eureka: Eureka) -> None:
    await registrar.renew()
    await asyncio.gather(registrar.close(), registrar.close())
    assert eureka.verbs == ["register", "cancel"]


async def test_a_lease_that_is_left_to_another_process_is_neither_renewed_nor_given_back(
    registrar: Registrar, eureka: Eureka
) -> None:
    await registrar.renew()
    await registrar.close(leave_lease=True)
    await registrar.renew()
    await registrar.drain()
    await registrar.close()
    assert eureka.verbs == ["register"]


async def test_closing_before_anything_was_sent_sends_nothing(registrar: Registrar, eureka: Eureka) -> None:
    await registrar.close()
    assert eureka.calls == []


async def test_a_registration_without_an_answer_is_taken_back_all_the_same(
    registrar: Registrar, eureka: Eureka
) -> None:
    eureka.up = False
    await registrar.renew()
    eureka.up = True
    await registrar.close()
    assert eureka.verbs == ["register", "cancel"]


async def test_a_goodbye_that_nobody_takes_is_tried_once_and_does_not_hold_up_the_end(
    registrar: Registrar, eureka: Eureka
) -> None:
    await registrar.renew()
    eureka.up = False
    with capture_logs() as logs:
        await registrar.close()
    await registrar.close()
    assert eureka.verbs == ["register", "cancel"]
    assert [line["event"] for line in logs] == ["not deregistered, the lease will expire"]


async def test_a_write_that_hangs_is_given_up_for_the_goodbye(registrar: Registrar, eureka: Eureka) -> None:
    await registrar.renew()
    eureka.gate = asyncio.Event()
    async with asyncio.timeout(1), asyncio.TaskGroup() as tasks:
        tasks.create_task(registrar.run())
        await eureka.next_call()
        await registrar.close()
    assert eureka.verbs == ["register", "heartbeat", "cancel"]
    assert registrar.heartbeat_failures_total == 0


async def test_a_goodbye_that_hangs_is_given_up(registrar: Registrar, eureka: Eureka) -> None:
    await registrar.renew()
    eureka.gate = asyncio.Event()
    await asyncio.wait_for(registrar.close(), 1)
    assert eureka.verbs == ["register", "cancel"]


async def test_the_goodbye_follows_a_run_that_was_cancelled_in_the_middle_of_a_write(
    registrar: Registrar, eureka: Eureka
) -> None:
    eureka.gate = asyncio.Event()
    running = asyncio.create_task(registrar.run())
    await eureka.next_call()
    running.cancel()
    await asyncio.wait([running])
    eureka.gate.set()
    await registrar.close()
    assert eureka.verbs == ["register", "cancel"]


async def test_draining_overrides_the_status_and_keeps_the_lease(registrar: Registrar, eureka: Eureka) -> None:
    registrar.set_status(Status.UP)
    await registrar.renew()
    await registrar.drain()
    await registrar.renew()
    assert [call[:2] for call in eureka.calls] == [
        ("register", Status.UP),
        ("register", Status.UP),  # with the mark that the override is ours
        ("override", Status.OUT_OF_SERVICE),
        ("heartbeat", Status.UP),
    ]
    assert eureka.metadata == {"pranaDraining": "true"}
    assert eureka.calls[1][2] > eureka.calls[0][2], "a server keeps what is newer"
    assert registrar.status is Status.UP


async def test_a_server_that_forgets_a_draining_app_is_told_again(registrar: Registrar, eureka: Eureka) -> None:
    await registrar.renew()
    await registrar.drain()
    eureka.forget()
    await registrar.renew()
    assert eureka.verbs[-2:] == ["register", "override"]
    assert eureka.overridden


async def test_draining_an_app_that_is_not_registered_waits_for_its_registration(
    registrar: Registrar, eureka: Eureka
) -> None:
    await registrar.drain()
    assert eureka.calls == []
    await registrar.renew()
    assert eureka.verbs == ["register", "override"]


@pytest.mark.parametrize("hangs", [False, True])
async def test_draining_does_not_fail_or_hang_with_eureka(registrar: Registrar, eureka: Eureka, hangs: bool) -> None:
    await registrar.renew()
    eureka.up = False
    eureka.gate = asyncio.Event()
    if not hangs:
        eureka.gate.set()
    with capture_logs() as logs:
        await asyncio.wait_for(registrar.drain(), 1)
    assert [line["event"] for line in logs] == ["drain not announced"]


# what an earlier life left behind

DRAIN_MARK = {"pranaDraining": "true"}


@pytest.mark.parametrize(("stored_ms", "sent_ms"), [(9_000_000, 9_000_001), (1_000_000, 1_000_001), (5, 1_000_000)])
async def test_the_first_registration_is_newer_than_what_the_server_has(
    registrar: Registrar, eureka: Eureka, stored_ms: int, sent_ms: int
) -> None:
    eureka.stored_past = Stored(stored_ms, Status.UNKNOWN, {})
    await registrar.renew()
    await registrar.renew()
    assert [(call, dirty_ms) for call, _, dirty_ms in eureka.calls] == [("register", sent_ms), ("heartbeat", sent_ms)]


@pytest.mark.parametrize("failure", [EurekaUnavailable("403"), GarbledRegistry("not JSON")])
async def test_a_past_that_cannot_be_read_does_not_keep_it_from_registering(
    registrar: Registrar, eureka: Eureka, failure: Exception
) -> None:
    eureka.stored_past = failure
    await registrar.renew()
    assert registrar.registered


async def test_a_past_that_could_not_be_read_is_read_before_the_next_registration(
    registrar: Registrar, eureka: Eureka
) -> None:
    eureka.stored_past = EurekaUnavailable("down")
    eureka.up = False
    await registrar.renew()
    eureka.stored_past = Stored(9_000_000, Status.UNKNOWN, {})
    eureka.up = True
    await registrar.renew()
    assert eureka.calls[-1] == ("register", Status.STARTING, 9_000_001)
    eureka.stored_past = Stored(99_000_000, Status.UNKNOWN, {})
    eureka.forget()
    await registrar.renew()
    assert eureka.calls[-1][2] < 99_000_000, "from then on it is our own past"


async def test_the_override_of_our_own_unfinished_drain_is_removed(registrar: Registrar, eureka: Eureka) -> None:
    eureka.stored_past = Stored(7, Status.OUT_OF_SERVICE, DRAIN_MARK)
    eureka.refuses = "remove override"
    await registrar.renew()
    assert registrar.registered, "a server that refuses this does not keep the app out"
    eureka.refuses = ""
    await registrar.renew()
    await registrar.renew()
    assert eureka.verbs.count("remove override") == 2, "until it was accepted"
    assert "pranaDraining" not in eureka.metadata


async def test_an_operators_override_is_kept_and_said_once(registrar: Registrar, eureka: Eureka) -> None:
    eureka.stored_past = Stored(7, Status.OUT_OF_SERVICE, {})
    with capture_logs() as logs:
        await registrar.renew()
        eureka.forget()
        await registrar.renew()
    assert eureka.verbs == ["register", "heartbeat", "register"]
    assert [line["event"] for line in logs].count("an operator's override hides the app's true status") == 1


async def test_the_real_wait_ends_by_time_and_by_a_change(eureka: Eureka, time: Time) -> None:
    registration = Registration(app="a", instance_id="a", host="h", ip="i", port=1, vip="a", renewal_interval_s=0)
    registrar = Registrar(registration, eureka, clock=lambda: 0.0, epoch_ms=lambda: time.epoch_ms, rng=Random(1))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(registrar.run())
        while eureka.verbs[-1:] != ["heartbeat"]:
            await eureka.next_call()
        await registrar.close()
    assert eureka.verbs[-1] == "cancel"


@pytest.mark.parametrize(
    ("listed", "event"), [(Status.UP, "deregistered"), (None, "was not registered any more")], ids=["known", "unknown"]
)
async def test_the_log_says_deregistered_only_when_the_server_knew_the_app(
    listed: Status | None, event: str, registrar: Registrar, eureka: Eureka
) -> None:
    await registrar.renew()
    eureka.listed = listed
    with capture_logs() as logs:
        await registrar.close()
    assert [line["event"] for line in logs] == [event]

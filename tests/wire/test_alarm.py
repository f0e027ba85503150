"""One timer for the deadlines of many."""

import asyncio

import pytest

from prana.wire.alarm import Alarm


class Bench:
    """An alarm on the loop's own clock, which the test moves by hand: `call_later` waits for it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.rung: list[str] = []
        self.alarm: Alarm[str] = Alarm(lambda: self.now_s, self.rung.append)
        self.timers: list[tuple[float, asyncio.TimerHandle]] = []


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench()
    loop = asyncio.get_running_loop()

    class Timer:
        """What the loop would run at its time."""

        def __init__(self, after_s: float) -> None:
            self.at_s, self.cancelled = bench.now_s + after_s, False

        def cancel(self) -> None:
            self.cancelled = True

    def call_later(after_s: float, callback: object) -> Timer:
        timer = Timer(after_s)
        timers.append(timer)
        return timer

    timers: list[Timer] = []
    monkeypatch.setattr(loop, "call_later", call_later)
    bench.timers = timers  # type: ignore[assignment] # stands for the loop's
    return bench


def pass_to(bench: Bench, now_s: float) -> None:
    """Run what is due on the way."""
    while due := [timer for timer in bench.timers if not timer.cancelled and timer.at_s <= now_s]:  # type: ignore[attr-defined]
        timer = min(due, key=lambda each: each.at_s)  # type: ignore[attr-defined]
        bench.timers.remove(timer)
        bench.now_s = max(bench.now_s, timer.at_s)  # type: ignore[attr-defined]
        bench.alarm._look()
    bench.now_s = now_s


def waiting(bench: Bench) -> int:
    return sum(not timer.cancelled for timer in bench.timers)  # type: ignore[attr-defined]


async def test_each_rings_once_when_its_time_has_come(bench: Bench) -> None:
    bench.alarm.set("a", 5.0)
    pass_to(bench, 1.0)
    bench.alarm.set("b", 5.0)
    assert waiting(bench) == 1, "later ones need no timer of their own"
    pass_to(bench, 4.99)
    assert bench.rung == []
    pass_to(bench, 5.5)
    assert bench.rung == ["a"]
    pass_to(bench, 6.5)
    assert bench.rung == ["a", "b"]
    pass_to(bench, 60.0)
    assert (bench.rung, waiting(bench)) == (["a", "b"], 0)


async def test_an_earlier_one_does_not_wait_for_a_later_one(bench: Bench) -> None:
    bench.alarm.set("a", 5.0)
    bench.alarm.set("b", 0.25)
    pass_to(bench, 0.3)
    assert bench.rung == ["b"]
    pass_to(bench, 5.1)
    assert bench.rung == ["b", "a"]


async def test_what_was_cleared_does_not_ring_and_may_be_set_again(bench: Bench) -> None:
    bench.alarm.set("a", 1.0)
    bench.alarm.clear("a")
    bench.alarm.clear("a")
    pass_to(bench, 2.0)
    assert bench.rung == []
    bench.alarm.set("a", 1.0)
    bench.alarm.set("a", 3.0)
    pass_to(bench, 4.0)
    assert bench.rung == []
    pass_to(bench, 5.1)
    assert bench.rung == ["a"]


async def test_thousands_one_after_the_other_are_looked_through_a_hundred_times_a_second(bench: Bench) -> None:
    looks = 0
    look = bench.alarm._look

    def counted() -> None:
        nonlocal looks
        looks += 1
        look()

    bench.alarm._look = counted  # type: ignore[method-assign] # to count
    for number in range(2000):
        bench.alarm.set(str(number), 1 + number / 2000)
    pass_to(bench, 3.0)
    assert len(bench.rung) == 2000
    assert looks <= 102


async def test_one_that_fails_keeps_none_from_ringing(bench: Bench) -> None:
    def ring(item: str) -> None:
        bench.rung.append(item)
        if item == "a":
            raise ZeroDivisionError

    bench.alarm = Alarm(lambda: bench.now_s, ring)
    for item, after_s in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        bench.alarm.set(item, after_s)
    with pytest.raises(ZeroDivisionError):
        pass_to(bench, 1.5)
    pass_to(bench, 3.0)
    assert bench.rung == ["a", "b", "c"]


async def test_nothing_rings_after_the_close(bench: Bench) -> None:
    bench.alarm.set("a", 1.0)
    bench.alarm.close()
    pass_to(bench, 2.0)
    assert (bench.rung, waiting(bench)) == ([], 0)

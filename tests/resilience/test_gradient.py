import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import pytest

from prana.resilience.gradient import AdaptiveSettings, Gradient2, Load

from .conftest import Clock

QUICK_S = 0.1


@pytest.fixture
def gradient(clock: Clock) -> Gradient2:
    return Gradient2(AdaptiveSettings(), clock)


def window(
    gradient: Gradient2, clock: Clock, took_s: float = QUICK_S, in_flight: int = 20, samples: int = 10, drops: int = 0
) -> int:
    """A second with these requests, and the limit after it."""
    for _ in range(drops):
        gradient.learn(Load.EXCESS, 10.0, in_flight)
    for _ in range(samples - 1):
        gradient.learn(Load.NORMAL, took_s, in_flight)
    clock.now_s += 1.0
    return gradient.learn(Load.NORMAL, took_s, in_flight)


def test_while_answers_are_as_quick_as_ever_it_grows_by_a_fifth_of_four_each_second(
    gradient: Gradient2, clock: Clock
) -> None:
    """0.8 * 20 + 0.2 * (20 * 1 + 4) = 20.8, and so on."""
    limits = [window(gradient, clock) for _ in range(5)]
    assert limits == [20, 21, 22, 23, 24]


def test_it_waits_for_the_second_to_end(gradient: Gradient2, clock: Clock) -> None:
    assert [gradient.learn(Load.NORMAL, QUICK_S, 20) for _ in range(1000)] == [20] * 1000
    clock.now_s += 0.999
    assert gradient.learn(Load.EXCESS, QUICK_S, 20) == 20
    clock.now_s += 0.001
    assert gradient.learn(Load.UNKNOWN, QUICK_S, 20) == 18


def test_a_window_with_fewer_than_ten_answers_tells_nothing(gradient: Gradient2, clock: Clock) -> None:
    for _ in range(100):
        assert window(gradient, clock, samples=9) == 20
    assert [window(gradient, clock) for _ in range(3)] == [20, 21, 22], "nor do they add up"


def test_what_was_no_answer_of_another_process_tells_nothing(gradient: Gradient2, clock: Clock) -> None:
    for _ in range(10):
        assert window(gradient, clock, took_s=0.0) == 20


def test_callers_who_need_less_than_half_of_it_do_not_move_it(gradient: Gradient2, clock: Clock) -> None:
    for _ in range(10):
        assert window(gradient, clock, in_flight=9) == 20
    assert window(gradient, clock, took_s=1.0, in_flight=9) == 20, "not down either"
    assert [window(gradient, clock, in_flight=in_flight) for in_flight in (10, 10, 11)] == [20, 20, 21]


def test_answers_up_to_half_as_slow_again_are_within_tolerance(gradient: Gradient2, clock: Clock) -> None:
    for _ in range(10):
        window(gradient, clock)
    before = window(gradient, clock)
    assert window(gradient, clock, took_s=1.4 * QUICK_S) - before in (0, 1)


def test_slower_answers_shrink_it_by_at_most_a_tenth_a_second(gradient: Gradient2, clock: Clock) -> None:
    """gradient 0.5: 0.8 * 28 + 0.2 * (28 * 0.5 + 4) = 26."""
    for _ in range(10):
        limit = window(gradient, clock)
    assert limit == 28
    assert window(gradient, clock, took_s=100.0) == 26


def test_the_usual_follows_as_an_exponential_average_of_600_windows(clock: Clock) -> None:
    """After ten windows at 0.1 s, one at 0.2 s: 0.1 + 0.1 * 2 / 601, so the gradient is 1.5 * 0.10033 / 0.2."""
    gradient = Gradient2(AdaptiveSettings(min=1, max=100_000, initial=10_000), clock)
    for _ in range(10):
        window(gradient, clock, in_flight=10_000)
    usual_s = 0.1 + 0.1 * 2 / 601
    expected = 0.8 * 10_008 + 0.2 * (10_008 * 1.5 * usual_s / 0.2 + 4)
    assert window(gradient, clock, took_s=0.2, in_flight=10_000) == pytest.approx(expected, abs=1)


def test_the_first_ten_windows_are_averaged_plainly(clock: Clock) -> None:
    gradient = Gradient2(AdaptiveSettings(min=1, max=100_000, initial=10_000), clock)
    for _ in range(9):
        window(gradient, clock, took_s=0.1, in_flight=10_000)
    expected = 0.8 * 10_007.2 + 0.2 * (10_007.2 * 1.5 * 0.11 / 0.2 + 4)
    assert window(gradient, clock, took_s=0.2, in_flight=10_000) == pytest.approx(expected, abs=1)


def test_when_an_overload_is_over_what_was_usual_in_it_is_soon_forgotten(clock: Clock) -> None:
    """More than twice as slow as now: 5 % less each second, where the average alone would take minutes."""
    gradient = Gradient2(AdaptiveSettings(min=1, max=1000, initial=1000), clock)
    for _ in range(10):
        window(gradient, clock, took_s=1.0, in_flight=1000)
    for _ in range(60):
        window(gradient, clock, took_s=0.1, in_flight=1000)
    assert window(gradient, clock, took_s=0.4, in_flight=1000) < 1000


@pytest.mark.parametrize("samples", [1, 100])
def test_a_second_in_which_anything_was_dropped_takes_a_tenth_off_once(
    gradient: Gradient2, clock: Clock, samples: int
) -> None:
    assert window(gradient, clock, samples=samples, drops=50) == 18
    assert window(gradient, clock, samples=samples, drops=1) == 16


def test_it_stays_within_its_bounds(clock: Clock) -> None:
    gradient = Gradient2(AdaptiveSettings(min=4, max=30, initial=20), clock)
    for _ in range(100):
        lowest = window(gradient, clock, drops=1)
    for _ in range(100):
        highest = window(gradient, clock, in_flight=100)
    assert (lowest, highest) == (4, 30)


@dataclass
class Server:
    """So many workers with a queue before them, and callers who come by chance and do not wait for each other."""

    clock: Clock
    gradient: Gradient2
    rng: Random
    limit: int = 20
    in_flight: int = 0

    def run(self, seconds: float, rate: float, workers: int) -> tuple[float, float]:
        """Answers a second, and their mean time."""
        ends_s = self.clock.now_s + seconds
        free_s = [self.clock.now_s] * workers
        under_way: list[tuple[float, float]] = []
        times_s: list[float] = []
        for arrival_s in self._arrivals(rate, ends_s):
            while under_way and under_way[0][0] <= arrival_s:
                end_s, start_s = heapq.heappop(under_way)
                self.clock.now_s = end_s
                times_s.append(end_s - start_s)
                self.limit = self.gradient.learn(Load.NORMAL, times_s[-1], self.in_flight)
                self.in_flight -= 1
            self.clock.now_s = arrival_s
            if self.in_flight < self.limit:
                self.in_flight += 1
                end_s = max(arrival_s, heapq.heappop(free_s)) + max(0.001, self.rng.gauss(QUICK_S, QUICK_S / 10))
                heapq.heappush(free_s, end_s)
                heapq.heappush(under_way, (end_s, arrival_s))
        self.in_flight -= len(under_way)
        return len(times_s) / seconds, sum(times_s) / len(times_s)

    def _arrivals(self, rate: float, ends_s: float) -> Iterator[float]:
        now_s = self.clock.now_s
        while now_s < ends_s:
            now_s += self.rng.expovariate(rate)
            yield now_s


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_capacity_of_a_server_and_follows_when_that_changes(clock: Clock, seed: int) -> None:
    """Twice as many requests as the server can take: what it can take is used up, and nobody waits for long. The limit
    ends near 1.5 times the workers, which is how much slower than usual it lets answers be."""
    server = Server(clock, Gradient2(AdaptiveSettings(), clock), Random(seed))
    rate, mean_s = server.run(60, rate=100, workers=40)
    assert mean_s == pytest.approx(QUICK_S, rel=0.02)
    rate, mean_s = server.run(60, rate=800, workers=40)
    assert rate > 0.99 * 400
    assert 40 < server.limit < 2 * 40
    assert mean_s < 2 * QUICK_S, "behind a fixed limit of 512 it would be 1.28 s"
    rate, _ = server.run(60, rate=800, workers=8)
    assert rate > 0.99 * 80
    assert 8 < server.limit < 3 * 8
    rate, _ = server.run(60, rate=800, workers=40)
    assert server.limit > 40

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.resilience.bulkhead import Bulkhead


class Clock:
    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_no_more_than_the_limit_get_in_and_a_place_given_back_is_free_again(clock: Clock) -> None:
    bulkhead = Bulkhead(2, clock)
    assert [bulkhead.try_acquire() for _ in range(4)] == [True, True, False, False]
    assert bulkhead.in_use == 2
    bulkhead.release()
    assert bulkhead.in_use == 1
    assert bulkhead.try_acquire()


def test_a_limit_of_none_lets_nobody_in(clock: Clock) -> None:
    assert not Bulkhead(0, clock).try_acquire()


def test_a_release_too_many_is_an_error_and_not_an_extra_place(clock: Clock) -> None:
    bulkhead = Bulkhead(1, clock)
    with pytest.raises(RuntimeError, match="nobody held"):
        bulkhead.release()
    assert [bulkhead.try_acquire() for _ in range(2)] == [True, False]


def test_the_highest_concurrency_is_remembered_for_ten_seconds(clock: Clock) -> None:
    bulkhead = Bulkhead(10, clock)
    for _ in range(3):
        bulkhead.try_acquire()
    for _ in range(3):
        bulkhead.release()
    bulkhead.try_acquire()
    bulkhead.release()
    assert bulkhead.max_in_use == 3
    clock.now_s += 9.999
    assert bulkhead.max_in_use == 3
    clock.now_s += 0.001
    assert bulkhead.max_in_use == 0


def test_places_held_for_long_count_all_the_time_they_are_held(clock: Clock) -> None:
    bulkhead = Bulkhead(10, clock)
    bulkhead.try_acquire()
    bulkhead.try_acquire()
    clock.now_s += 100
    bulkhead.release()
    clock.now_s += 5
    assert bulkhead.max_in_use == 2
    clock.now_s += 5
    assert bulkhead.max_in_use == 1


@given(steps=st.lists(st.tuples(st.sampled_from([0, 0, 1, 3, 30]), st.booleans()), max_size=60))
def test_the_maximum_is_that_of_the_history(steps: list[tuple[int, bool]]) -> None:
    """Against every level held, from the start of the window's oldest whole second; times are halves of a second."""
    clock = Clock()
    bulkhead = Bulkhead(5, clock)
    level, levels = 0, [(clock.now_s, 0)]
    for halves, acquire in steps:
        clock.now_s += halves / 2
        if acquire:
            level += bulkhead.try_acquire()
        elif level:
            bulkhead.release()
            level -= 1
        levels.append((clock.now_s, level))
        oldest_s = int(clock.now_s) - 9
        ends_s = [start_s for start_s, _ in levels[1:]] + [clock.now_s]
        expected = max(held for (_, held), end_s in zip(levels, ends_s, strict=True) if end_s >= oldest_s)
        assert (bulkhead.in_use, bulkhead.max_in_use) == (level, expected)

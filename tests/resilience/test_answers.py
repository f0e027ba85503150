import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.resilience.answers import AnswerTimes


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def answers(clock: Clock) -> AnswerTimes:
    return AnswerTimes(clock)


def test_of_few_answers_nothing_is_known(answers: AnswerTimes, clock: Clock) -> None:
    for _ in range(19):
        answers.record(clock(), 0.1)
    assert answers.within_s(50) == 0
    answers.record(clock(), 0.1)
    assert answers.within_s(50) == 0.1


@given(st.permutations(range(1, 101)), st.integers(1, 100))
def test_so_many_percent_came_within_this_time(times: list[int], percent: int) -> None:
    clock = Clock()
    answers = AnswerTimes(clock)
    for time in times:
        answers.record(clock(), time / 1000)
    assert answers.within_s(percent) == percent / 1000


def test_they_are_looked_through_once_a_second(answers: AnswerTimes, clock: Clock) -> None:
    for _ in range(20):
        answers.record(clock(), 0.1)
    assert answers.within_s(95) == 0.1
    for _ in range(20):
        answers.record(clock(), 0.3)
    clock.now_s += 0.9
    assert answers.within_s(95) == 0.1
    clock.now_s += 0.1
    assert (answers.within_s(50), answers.within_s(95)) == (0.1, 0.3)


def test_a_minute_is_remembered(answers: AnswerTimes, clock: Clock) -> None:
    for _ in range(20):
        answers.record(clock(), 0.1)
    clock.now_s += 59.9
    assert answers.within_s(50) == 0.1
    clock.now_s += 1
    assert answers.within_s(50) == 0


def test_of_many_answers_the_latest_count(answers: AnswerTimes, clock: Clock) -> None:
    for time_s in (0.3, 0.1):
        for _ in range(512):
            answers.record(clock(), time_s)
    assert answers.within_s(100) == 0.1

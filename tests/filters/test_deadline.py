from prana.filters.deadline import Deadline

from .conftest import Clock, Next, answer, request


async def test_the_deadline_is_fixed_once_for_all_that_follows(clock: Clock) -> None:
    asked = request()
    await Deadline(0.8, clock)(asked, Next(answer()))
    assert asked.deadline_s == clock.now_s + 0.8

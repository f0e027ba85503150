from prana.filters.deadline import Deadline

from .conftest import Next, answer, request


async def test_the_deadline_counts_from_the_arrival_of_the_request() -> None:
    asked = request()
    asked.received_s = 100.0
    await Deadline(0.8)(asked, Next(answer()))
    assert asked.deadline_s == 100.8

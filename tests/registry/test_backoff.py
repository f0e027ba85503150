from random import Random

from registry.backoff import Backoff


def test_the_ceiling_doubles_up_to_the_cap_and_the_pause_is_anywhere_below_it() -> None:
    backoffs = [Backoff(1.0, 5.0, Random(seed)) for seed in range(200)]
    for ceiling_s in (1.0, 2.0, 4.0, 5.0, 5.0):
        pauses = [backoff.next_s() for backoff in backoffs]
        assert 0.0 <= min(pauses) < 0.1 * ceiling_s
        assert 0.9 * ceiling_s < max(pauses) <= ceiling_s


def test_a_success_starts_afresh() -> None:
    backoff = Backoff(1.0, 60.0, Random(1))
    for _ in range(10):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() <= 1.0


def test_the_first_pause_respects_a_small_cap() -> None:
    backoff = Backoff(1.0, 0.1, Random(1))
    assert max(backoff.next_s() for _ in range(50)) <= 0.1
    backoff.reset()
    assert max(backoff.next_s() for _ in range(50)) <= 0.1

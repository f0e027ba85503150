import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.resilience.budget import RetryBudget


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def withdrawals(budget: RetryBudget, tries: int = 10_000) -> int:
    return sum(budget.withdraw() for _ in range(tries))


def test_a_service_without_traffic_may_retry_by_the_floor(clock: Clock) -> None:
    budget = RetryBudget(clock, ratio=0.2, floor_per_s=10)
    assert withdrawals(budget) == 10
    clock.now_s = 0.5
    assert withdrawals(budget) == 5


def test_requests_earn_retries_by_the_ratio(clock: Clock) -> None:
    budget = RetryBudget(clock, ratio=0.2, floor_per_s=0)
    for _ in range(4):
        budget.deposit()
    assert not budget.withdraw()
    budget.deposit()
    assert budget.balance == 1
    assert (budget.withdraw(), budget.withdraw()) == (True, False)
    assert budget.balance == 0


@pytest.mark.parametrize("ratio", [0.1, 0.2, 0.3, 0.7])
def test_rounding_costs_no_retry(clock: Clock, ratio: float) -> None:
    budget = RetryBudget(clock, ratio, floor_per_s=0)
    paid = 0
    for _ in range(1000):
        budget.deposit()
        paid += budget.withdraw()
    assert paid == round(1000 * ratio)


def test_a_retry_costs_a_whole_token(clock: Clock) -> None:
    budget = RetryBudget(clock, ratio=0.999, floor_per_s=0)
    budget.deposit()
    assert not budget.withdraw()


@pytest.mark.parametrize(("floor_per_s", "saved"), [(0, 10), (0.1, 10), (1, 10), (10, 100), (50, 500)])
def test_ten_seconds_of_the_floor_are_saved_and_never_more(clock: Clock, floor_per_s: float, saved: int) -> None:
    budget = RetryBudget(clock, 1.0, floor_per_s)
    for _ in range(5000):
        budget.deposit()
    clock.now_s = 3600
    assert budget.balance == saved
    assert withdrawals(budget) == saved


def test_a_total_outage_at_1000_requests_a_second_costs_a_fifth_more_and_ten_a_second(clock: Clock) -> None:
    """With a service's first request, or after an hour in good health."""
    for healthy_s, saved in ((0.0, 10), (3600.0, 100)):
        clock.now_s = 0.0
        budget = RetryBudget(clock)
        retries = 0
        for n in range(60_000):
            clock.now_s = healthy_s + n / 1000
            budget.deposit()
            retries += budget.withdraw() + budget.withdraw()
            assert retries <= 0.2 * (n + 1) + 10 * n / 1000 + saved
        assert retries >= 0.2 * 60_000 + 10 * 59


moves = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8), st.integers(0, 8)), max_size=60)


@given(moves=moves, ratio=st.sampled_from([0.0, 0.2, 0.5, 1.0]), floor_per_s=st.sampled_from([0.0, 0.1, 0.5, 2.0]))
def test_in_any_window_retries_stay_within_the_budget(
    moves: list[tuple[int, int, int]], ratio: float, floor_per_s: float
) -> None:
    clock = Clock()
    budget = RetryBudget(clock, ratio, floor_per_s)
    full = max(10 * floor_per_s, 10)
    log: list[tuple[float, int, int]] = []
    for wait_s, deposits, tries in moves:
        clock.now_s += wait_s
        for _ in range(deposits):
            budget.deposit()
        log.append((clock.now_s, deposits, withdrawals(budget, tries)))
    for first, (start_s, _, _) in enumerate(log):
        spent = earned = 0.0
        for end_s, deposits, retries in log[first:]:
            spent += retries
            earned += ratio * deposits
            assert spent <= earned + floor_per_s * (end_s - start_s) + full + 1e-6
            if first == 0:
                assert spent <= earned + floor_per_s * (end_s + 1) + 1e-6, "a new service has saved nothing yet"


@given(moves=moves)
def test_a_retry_is_refused_only_when_it_has_not_been_earned(moves: list[tuple[int, int, int]]) -> None:
    clock = Clock()
    budget = RetryBudget(clock, ratio=0.5, floor_per_s=0.25)
    tokens = 0.25
    for wait_s, deposits, tries in moves:
        clock.now_s += wait_s
        tokens = min(10.0, tokens + 0.25 * wait_s + 0.5 * deposits)
        for _ in range(deposits):
            budget.deposit()
        for _ in range(tries):
            assert budget.balance == pytest.approx(tokens)
            assert budget.withdraw() == (tokens >= 1)
            tokens -= tokens >= 1


def test_without_ratio_and_floor_there_are_no_retries(clock: Clock) -> None:
    budget = RetryBudget(clock, 0.0, 0.0)
    budget.deposit()
    clock.now_s = 1e6
    assert not budget.withdraw()

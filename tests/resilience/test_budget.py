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


def withdrawals(budget: RetryBudget, tries: int = 1000) -> int:
    return sum(budget.withdraw() for _ in range(tries))


def test_a_service_without_traffic_may_retry_by_the_floor(clock: Clock) -> None:
    assert withdrawals(RetryBudget(clock, ratio=0.2, floor_per_s=10, ttl_s=10)) == 100


def test_requests_earn_retries_by_the_ratio(clock: Clock) -> None:
    budget = RetryBudget(clock, ratio=0.2, floor_per_s=0, ttl_s=10)
    for _ in range(4):
        budget.deposit()
    assert not budget.withdraw()
    budget.deposit()
    assert budget.balance == 1
    assert (budget.withdraw(), budget.withdraw()) == (True, False)
    assert budget.balance == 0


def test_a_retry_costs_a_whole_token(clock: Clock) -> None:
    budget = RetryBudget(clock, ratio=0.999, floor_per_s=0, ttl_s=10)
    budget.deposit()
    assert not budget.withdraw()


def test_what_is_not_used_expires(clock: Clock) -> None:
    budget = RetryBudget(clock, ratio=1, floor_per_s=0, ttl_s=10)
    budget.deposit()
    clock.now_s = 9.999
    assert budget.balance == 1
    clock.now_s = 10
    assert budget.balance == 0


def test_the_reserve_comes_back_when_the_withdrawals_have_expired(clock: Clock) -> None:
    budget = RetryBudget(clock, ratio=0, floor_per_s=1, ttl_s=10)
    assert withdrawals(budget) == 10
    clock.now_s = 9.999
    assert withdrawals(budget) == 0
    clock.now_s = 10
    assert withdrawals(budget) == 10


def test_a_total_outage_at_1000_requests_a_second_costs_a_fifth_more_and_ten_a_second(clock: Clock) -> None:
    budget = RetryBudget(clock)
    retries = 0
    for n in range(60_000):
        clock.now_s = n / 1000
        budget.deposit()
        retries += budget.withdraw() + budget.withdraw()
    assert 0.2 * 60_000 <= retries <= 0.2 * 60_000 + 10 * 60


moves = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8), st.integers(0, 8)), max_size=60)


@given(moves=moves, ratio=st.sampled_from([0.0, 0.2, 0.5, 1.0]), floor_per_s=st.sampled_from([0.0, 0.1, 0.5]))
def test_over_any_span_retries_stay_within_ratio_and_floor(
    moves: list[tuple[int, int, int]], ratio: float, floor_per_s: float
) -> None:
    """Spans of any length: what requests of the span and the ttl before it earned, the floor, and one reserve."""
    clock = Clock()
    ttl_s = 10.0
    budget = RetryBudget(clock, ratio, floor_per_s, ttl_s)
    log: list[tuple[float, int, int]] = []
    for wait_s, deposits, tries in moves:
        clock.now_s += wait_s
        for _ in range(deposits):
            budget.deposit()
        log.append((clock.now_s, deposits, withdrawals(budget, tries)))
    for start_s, _, _ in log:
        for end_s, _, _ in log:
            spent = sum(n for at_s, _, n in log if start_s <= at_s <= end_s)
            earned = ratio * sum(n for at_s, n, _ in log if start_s - ttl_s < at_s <= end_s)
            assert spent <= earned + floor_per_s * (max(end_s - start_s, 0) + ttl_s) + 1e-9


@given(moves=moves)
def test_a_retry_is_refused_only_when_the_last_seconds_have_not_earned_it(moves: list[tuple[int, int, int]]) -> None:
    clock = Clock()
    budget = RetryBudget(clock, ratio=0.5, floor_per_s=0.3, ttl_s=10)
    log: list[tuple[float, float]] = []
    for wait_s, deposits, tries in moves:
        clock.now_s += wait_s
        log += [(clock.now_s, 0.5)] * deposits
        for _ in range(deposits):
            budget.deposit()
        for _ in range(tries):
            balance = 3 + sum(tokens for at_s, tokens in log if at_s > clock.now_s - 10)
            assert budget.balance == pytest.approx(balance)
            assert budget.withdraw() == (balance >= 1)
            if balance >= 1:
                log.append((clock.now_s, -1.0))

from collections.abc import Iterable
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.server_url import Server
from registry.servers import Servers

LONGEST_SESSION_S, SHORTEST_SESSION_S = 30 * 60, 10 * 60


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def named(names: Iterable[str]) -> list[Server]:
    return [Server(f"http://{name}/", name) for name in names]


def make(clock: Clock, own: str, others: str = "", seed: int = 1) -> Servers:
    servers = Servers(clock, Random(seed))
    servers.replace(named(own), named(others))
    return servers


def call(servers: Servers, good: str = "") -> str:
    """One call, in which only these servers answer; who was asked, in order."""
    asked = ""
    for server in servers.tries():
        asked += server.label
        if server.label in good:
            servers.answered(server)
            break
        servers.failed(server)
    return asked


def test_own_zone_comes_first_and_each_zone_in_an_order_of_chance(clock: Clock) -> None:
    orders = {"".join(each.label for each in make(clock, "abc", "xyz", seed)) for seed in range(200)}
    assert all(set(order[:3]) == set("abc") for order in orders)
    assert len(orders) == 36


def test_one_call_asks_at_most_three_and_none_twice(clock: Clock) -> None:
    for size in range(1, 7):
        servers = make(clock, "abcdef"[:size])
        for _ in range(10):
            asked = call(servers)
            assert len(set(asked)) == len(asked) == min(3, size)


def test_the_one_that_answered_is_kept(clock: Clock) -> None:
    servers = make(clock, "abcd")
    answered = call(servers, "abcd")
    assert [call(servers, "abcd") for _ in range(20)] == [answered] * 20


def test_those_that_failed_are_not_asked_until_two_thirds_have(clock: Clock) -> None:
    servers = make(clock, "abcdefghij")
    first, second, third, fourth = (call(servers) for _ in range(4))
    assert len({*first, *second, *third}) == 9
    assert fourth[0] not in first + second + third, "the one that was never asked"
    assert fourth[1:] == first[:2], "then those whose failure is the longest ago"


@pytest.mark.parametrize(("size", "failed"), [(2, 1), (3, 1), (4, 2), (5, 3), (10, 6)])
def test_two_thirds_are_counted_as_in_java(clock: Clock, size: int, failed: int) -> None:
    def reachable(quarantined: int) -> int:
        servers = make(clock, "abcdefghij"[:size])
        for server in list(servers)[:quarantined]:
            servers.failed(server)
        servers._candidate([])
        return size - len(servers._quarantine)

    assert reachable(failed) == size
    assert reachable(failed - 1) == size - (failed - 1)


def test_a_kept_server_that_fails_is_left_within_the_same_call(clock: Clock) -> None:
    servers = make(clock, "abc")
    kept = call(servers, "abc")
    rest = "".join(set("abc") - {kept})
    asked = call(servers, rest)
    assert asked[0] == kept
    assert len(asked) == 2
    assert call(servers, "abc") == asked[1]


def test_a_kept_server_that_fails_is_not_asked_first_again(clock: Clock) -> None:
    servers = make(clock, "abcdef")
    kept = call(servers, "abcdef")
    assert call(servers)[0] == kept
    assert call(servers)[0] != kept


def test_a_server_that_answered_since_is_asked_before_one_that_did_not(clock: Clock) -> None:
    servers = make(clock, "abc")
    forgiven, other, third = list(servers)
    for server in (forgiven, other):
        servers.failed(server)
    servers.answered(forgiven)
    servers.answered(third)
    assert call(servers) == third.label + forgiven.label + other.label


def test_servers_that_are_gone_do_not_count_as_failed(clock: Clock) -> None:
    servers = make(clock, "abcd")
    for server in named("ab"):
        servers.failed(server)
    servers.replace(named("cdefghij"), [])
    assert not servers._quarantine


def test_a_session_ends_after_ten_to_thirty_minutes_and_the_order_is_drawn_anew(clock: Clock) -> None:
    ends = []
    for seed in range(50):
        clock.now_s = 100.0
        servers = make(clock, "abcdef", seed=seed)
        kept = call(servers, "abcdef")
        while call(servers, "abcdef") == kept:  # may also draw the same again
            clock.now_s += 10
        ends.append(clock.now_s - 100.0)
    assert min(ends) >= SHORTEST_SESSION_S
    assert sum(end <= LONGEST_SESSION_S + 10 for end in ends) > 30
    assert len(set(ends)) > 20


def test_new_lists_keep_the_server_that_is_asked_when_it_is_still_there(clock: Clock) -> None:
    servers = make(clock, "abc")
    kept = call(servers, "abc")
    servers.replace(named("xyz"), named("abc"))
    assert call(servers, "abcxyz") == kept
    servers.replace(named("xyz"), [])
    assert call(servers, "abcxyz") in set("xyz")


def test_the_same_lists_again_change_no_order(clock: Clock) -> None:
    servers = make(clock, "abcdef", "uvwxyz")
    order = list(servers)
    for _ in range(20):
        servers.replace(named("fedcba"), named("zyxwvu"))
    assert list(servers) == order


def test_a_server_of_both_lists_is_asked_once(clock: Clock) -> None:
    assert [each.label for each in make(clock, "a", "ab")] == ["a", "b"]


@given(st.integers(1, 8), st.lists(st.tuples(st.sets(st.integers(0, 7)), st.floats(0, 2000)), max_size=30))
def test_a_call_finds_an_answering_server_within_a_few_calls(size: int, history: list[tuple[set[int], float]]) -> None:
    clock = Clock()
    servers = make(clock, "abcdefgh"[:size])
    for good, pause_s in history:
        clock.now_s += pause_s
        call(servers, "".join("abcdefgh"[index] for index in good))
    assert any(call(servers, "a")[-1] == "a" for _ in islice(range(100), size))

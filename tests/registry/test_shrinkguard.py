import pytest
from structlog.testing import capture_logs

from registry.instance import Instance
from registry.shrinkguard import ShrinkGuard
from registry.snapshot import EMPTY, Snapshot


def registry(*names: str) -> Snapshot:
    return Snapshot.of(Instance(app="A", id=name, host=name, ip=name, port=80) for name in names)


class Clock:
    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("after", "held"),
    [("abcd", 0), ("abc", 0), ("ab", 0), ("a", 3), ("", 4), ("xyz", 4), ("abxy", 0)],
)
def test_only_the_loss_of_more_than_half_is_suspicious(after: str, held: int) -> None:
    guard = ShrinkGuard(Clock(), 90)
    guard.full_read(registry(*"abcd"), registry(*after))
    covered = guard.cover(registry(*after))
    assert guard.held == held
    assert covered.instances.keys() == registry(*after, *("abcd" if held else "")).instances.keys()


def test_nothing_held_costs_nothing() -> None:
    guard = ShrinkGuard(Clock(), 90)
    guard.full_read(EMPTY, EMPTY)
    listed = registry("a")
    assert guard.cover(listed) is listed


def test_what_was_listed_again_and_then_deleted_is_gone() -> None:
    guard = ShrinkGuard(Clock(), 90)
    guard.full_read(registry("a", "b"), EMPTY)
    guard.cover(registry("a"))
    assert guard.cover(EMPTY).instances.keys() == registry("b").instances.keys()


def test_the_listed_instance_wins_over_the_held_one() -> None:
    guard = ShrinkGuard(Clock(), 90)
    guard.full_read(registry("a"), EMPTY)
    moved = Snapshot.of([Instance(app="A", id="a", host="elsewhere", ip="elsewhere", port=80)])
    assert guard.cover(moved) is moved


def test_only_a_full_read_after_the_grace_confirms() -> None:
    clock = Clock()
    guard = ShrinkGuard(clock, grace_s=90)
    guard.full_read(registry("a"), EMPTY)
    clock.now_s += 89
    guard.full_read(EMPTY, EMPTY)
    assert not guard.wants_confirmation
    assert guard.cover(EMPTY).instances
    clock.now_s += 1
    assert guard.wants_confirmation
    assert guard.cover(EMPTY).instances
    guard.full_read(EMPTY, EMPTY)
    assert guard.cover(EMPTY) is EMPTY
    assert not guard.wants_confirmation


def test_what_is_held_is_still_not_callable_when_it_was_refused() -> None:
    guard = ShrinkGuard(Clock(), 90, lambda each: "loopback" if each.id == "a" else None)
    guard.full_read(registry("a", "b"), EMPTY)
    covered = guard.cover(EMPTY)
    assert [each.id for each in covered.callable_instances("a") or ()] == ["b"]


def test_every_step_is_logged_once() -> None:
    clock = Clock()
    guard = ShrinkGuard(clock, grace_s=90)
    with capture_logs() as logs:
        guard.full_read(registry("a", "b"), EMPTY)
        guard.cover(EMPTY)
        guard.cover(registry("a"))
        guard.cover(registry("a", "b"))
        guard.cover(registry("a", "b"))
        guard.full_read(registry("a", "b"), EMPTY)
        clock.now_s += 90
        guard.full_read(EMPTY, EMPTY)
        guard.full_read(EMPTY, EMPTY)
    assert [line["event"] for line in logs] == [
        "registry shrank, keeping what it forgot",
        "registry recovered, nothing is held back any more",
        "registry shrank, keeping what it forgot",
        "registry shrink confirmed",
    ]

import pytest

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
    guard = ShrinkGuard(Clock())
    guard.compare(registry(*"abcd"), registry(*after))
    covered = guard.cover(registry(*after))
    assert guard.held == held
    assert covered.instances.keys() == registry(*after, *("abcd" if held else "")).instances.keys()


def test_nothing_held_costs_nothing() -> None:
    guard = ShrinkGuard(Clock())
    guard.compare(EMPTY, EMPTY)
    listed = registry("a")
    assert guard.cover(listed) is listed


def test_what_was_listed_again_and_then_deleted_is_gone() -> None:
    guard = ShrinkGuard(Clock())
    guard.compare(registry("a", "b"), EMPTY)
    guard.cover(registry("a"))
    assert guard.cover(EMPTY).instances.keys() == registry("b").instances.keys()


def test_the_listed_instance_wins_over_the_held_one() -> None:
    guard = ShrinkGuard(Clock())
    guard.compare(registry("a"), EMPTY)
    moved = Snapshot.of([Instance(app="A", id="a", host="elsewhere", ip="elsewhere", port=80)])
    assert guard.cover(moved) is moved


def test_the_grace_ends() -> None:
    clock = Clock()
    guard = ShrinkGuard(clock, grace_s=90)
    guard.compare(registry("a"), EMPTY)
    clock.now_s += 89
    assert guard.cover(EMPTY).instances
    clock.now_s += 1
    assert guard.cover(EMPTY) is EMPTY

import pytest

from tests.bench import closed_loop, constant_rate, rounds
from tests.bench.field import Entrant
from tests.bench.peers import ENVOY, PRANA_BARE, PRANA_FULL
from tests.bench.samples import Figures, RunError
from tests.bench.scenarios import GET_100, KINDS, ClosedLoop, ConstantRate
from tests.bench.target import Target

ENTRANTS = [Entrant(peer, "/bin/false", Target(peer.name, 1)) for peer in (ENVOY, PRANA_FULL)]
EXTENT = rounds.Extent(rounds=2, seconds=1, rate_seconds=1)


def contest(direct_takes_part: bool) -> rounds.Contest:
    return rounds.Contest("/bin/false", (1, 2), Target("direct", 1), ENTRANTS, direct_takes_part)


def test_peers_take_turns_and_one_that_fails_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(wrk: str, target: Target, *_: object) -> Figures:
        if target.name == "envoy":
            raise RunError("1 read errors")
        return {"per_s": 1.0}

    monkeypatch.setattr(closed_loop, "measure", measure)
    said: list[str] = []

    samples = rounds.run(contest(direct_takes_part=True), EXTENT, [ClosedLoop(GET_100, 1)], said.append)

    assert [sample.peer for sample in samples] == ["direct", "envoy", "prana"] * 2
    assert [sample.error for sample in samples] == ["", "1 read errors", ""] * 2
    assert len(said) == 7


def test_a_peer_for_some_scenarios_is_left_out_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_loop, "measure", lambda *_: {"per_s": 1.0})
    bare = Entrant(PRANA_BARE, "/bin/false", Target("prana-bare", 1))
    field = rounds.Contest("/bin/false", (1, 2), Target("direct", 1), [bare], False)
    scenarios = [ClosedLoop(kind, 1) for kind in KINDS]

    samples = rounds.run(field, rounds.Extent(1, 1, 1), scenarios, lambda _: None)

    assert [sample.scenario for sample in samples] == ["get-100-c1"]


def test_added_latency_is_less_that_of_the_direct_call_in_the_same_round(monkeypatch: pytest.MonkeyPatch) -> None:
    direct_ms = iter([1.0, 2.0])

    def measure(target: Target, *_: object) -> Figures:
        latency_ms = next(direct_ms) if target.name == "direct" else 5.0
        return dict.fromkeys(constant_rate.PERCENTILES, latency_ms)

    monkeypatch.setattr(constant_rate, "measure", measure)

    samples = rounds.run(contest(direct_takes_part=False), EXTENT, [ConstantRate(1000)], lambda _: None)

    assert [sample.figures["added_p99_ms"] for sample in samples if sample.peer == "prana"] == [4.0, 3.0]

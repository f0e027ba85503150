from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.instance import Instance, Status
from registry.ports import TlsMode
from registry.snapshot import EMPTY, Snapshot, key_of

NAMES = st.lists(st.sampled_from(["orders", "users", "both"]), max_size=3).map(tuple)
INSTANCES = st.builds(
    Instance,
    app=st.sampled_from(["ORDERS", "USERS"]),
    id=st.sampled_from("abcd"),
    host=st.sampled_from(["good", "bad"]),
    ip=st.just("10.0.0.1"),
    port=st.integers(0, 1),
    status=st.sampled_from([Status.UP, Status.DOWN]),
    vips=NAMES,
    secure_vips=NAMES,
)


# One with a plain port, one with both, one with a secure port only.
MIXED = Snapshot.of(
    [
        Instance("ORDERS", "plain", "h", "i", 80, vips=("plain",), secure_vips=("safe",)),
        Instance("ORDERS", "both", "h", "i", 81, vips=("plain",), secure_vips=("safe",), secure_port=443),
        Instance("ORDERS", "secure", "h", "i", 0, secure_vips=("safe",), secure_port=8443),
    ]
)


def refusal(instance: Instance) -> str | None:
    return "bad" if instance.host == "bad" else None


def test_a_secure_vip_does_not_make_a_plain_port_callable() -> None:
    plain = Instance(app="ORDERS", id="a", host="h", ip="i", port=80, vips=("plain",), secure_vips=("secure",))
    snapshot = Snapshot.of([plain])
    assert snapshot.callable_instances("secure") == ()
    assert snapshot.callable_instances("plain") == snapshot.callable_instances("orders") == (plain,)
    assert snapshot.secure_vips["secure"] == (plain,)
    assert snapshot.services == {"orders", "plain", "secure"}


@pytest.mark.parametrize(("name", "ports"), [("orders", [80, 443, 8443]), ("safe", [443, 8443]), ("plain", [80, 443])])
def test_whoever_has_a_secure_port_is_called_by_it(name: str, ports: list[int]) -> None:
    """As in Spring. Ribbon would do so only if it is told to, see below."""
    called = MIXED.callable_instances(name) or ()
    assert [each.port for each in called] == ports
    assert [each.secure for each in called] == [port != 80 for port in ports]


@pytest.mark.parametrize(("name", "ports"), [("orders", [443, 8443]), ("safe", [443, 8443]), ("plain", [443])])
def test_who_wants_tls_always_never_calls_a_plain_port(name: str, ports: list[int]) -> None:
    assert [each.port for each in MIXED.callable_instances(name, TlsMode.ALWAYS) or ()] == ports


@pytest.mark.parametrize(("name", "ports"), [("orders", [80, 81]), ("plain", [80, 81])])
def test_who_wants_it_never_calls_no_secure_port(name: str, ports: list[int]) -> None:
    called = MIXED.callable_instances(name, TlsMode.NEVER) or ()
    assert [each.port for each in called] == ports
    assert not any(each.secure for each in called)
    assert MIXED.callable_instances("safe", TlsMode.NEVER) is None


def test_what_is_refused_is_so_by_its_secure_vip_too() -> None:
    snapshot = Snapshot.of([Instance("ORDERS", "a", "bad", "i", 0, secure_port=443, secure_vips=("safe",))], refusal)
    assert snapshot.callable_instances("safe") == ()


def test_an_instance_of_the_same_application_and_vip_is_listed_once() -> None:
    one = Instance(app="ORDERS", id="a", host="h", ip="i", port=80, vips=("orders", "orders"))
    snapshot = Snapshot.of([one])
    assert snapshot.callable_instances("orders") == (one,)
    assert snapshot.vips["orders"] == (one,)


def test_a_service_all_of_whose_instances_are_refused_is_still_known() -> None:
    bad = Instance(app="ORDERS", id="a", host="bad", ip="i", port=80)
    snapshot = Snapshot.of([bad], refusal)
    assert snapshot.callable_instances("orders") == ()
    assert snapshot.refused == {("ORDERS", "a"): "bad"}
    assert snapshot.hashcode == "UP_1_"
    better = Snapshot.changed(snapshot, [Instance(app="ORDERS", id="a", host="good", ip="i", port=80)], refusal=refusal)
    assert len(better.callable_instances("orders") or ()) == 1
    assert better.refused == {}


@given(st.lists(st.tuples(st.lists(INSTANCES), st.lists(INSTANCES))))
def test_changed_piece_by_piece_it_is_the_same_as_made_at_once(
    steps: list[tuple[list[Instance], list[Instance]]],
) -> None:
    snapshot = EMPTY
    model: dict[tuple[str, str], Instance] = {}
    for put, gone in steps:
        snapshot = snapshot.changed(put, map(key_of, gone), refusal)
        model |= {key_of(each): each for each in put}
        for each in gone:
            model.pop(key_of(each), None)
    whole = Snapshot.of(model.values(), refusal)
    assert snapshot.instances == whole.instances == model
    assert snapshot.refused == whole.refused
    for mine, theirs in (
        (snapshot.apps, whole.apps),
        (snapshot.vips, whole.vips),
        (snapshot.secure_vips, whole.secure_vips),
    ):
        assert {name: set(map(key_of, each)) for name, each in mine.items()} == {
            name: set(map(key_of, each)) for name, each in theirs.items()
        }
        assert all(len(each) == len(set(map(key_of, each))) for each in mine.values())
        assert all(model[key_of(one)] is one or model[key_of(one)] == one for each in mine.values() for one in each)


def test_up_is_what_may_be_called_by_any_port() -> None:
    def listed(key: str, port: int, secure_port: int, status: Status = Status.UP, host: str = "good") -> Instance:
        return Instance("ORDERS", key, host, "10.0.0.1", port, status, secure_port=secure_port)

    plain, secure, none = listed("a", 80, 0), listed("b", 0, 443), listed("c", 0, 0)
    snapshot = Snapshot.of(
        [plain, secure, none, listed("d", 80, 0, Status.DOWN), listed("e", 80, 0, host="bad")], refusal
    )
    assert snapshot.up_instances("orders") == (plain, secure)
    assert snapshot.callable_instances("orders") == (plain, replace(secure, port=443, secure=True))
    assert snapshot.up_instances("nobody") is None

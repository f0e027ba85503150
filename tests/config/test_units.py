"""Texts with units, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.config import units
from prana.config.units import Address


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [("250ms", 0.25), ("800ms", 0.8), ("5s", 5.0), ("1.5s", 1.5), ("2m", 120.0), ("1h", 3600.0), ("0s", 0.0)],
)
def test_a_duration_is_read_in_seconds(text: str, duration_s: float) -> None:
    assert units.parse_duration(text) == duration_s


@pytest.mark.parametrize("text", ["5", "s", "5 s", "5S", "5sec", "1m30s", "-5s", ".5s", "5.s", "5us", "", "٣s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        units.parse_duration(text)


@given(st.integers(0, 10**9))
def test_a_duration_survives_being_written_and_read(milliseconds: int) -> None:
    duration_s = milliseconds / 1000
    assert units.parse_duration(units.format_duration(duration_s)) == duration_s


@pytest.mark.parametrize(
    ("duration_s", "text"), [(0.0, "0s"), (0.25, "250ms"), (1.5, "1500ms"), (90.0, "90s"), (60.0, "1m"), (7200.0, "2h")]
)
def test_a_duration_is_written_in_the_largest_unit_that_is_exact(duration_s: float, text: str) -> None:
    assert units.format_duration(duration_s) == text


def test_a_duration_below_a_millisecond_is_written_as_a_fraction() -> None:
    assert units.format_duration(0.0005) == "0.5ms"


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("512B", 512), ("64KiB", 65536), ("1MiB", 1048576), ("2GiB", 2147483648), ("0B", 0)]
)
def test_a_size_is_read_in_bytes_and_written_back(text: str, size_bytes: int) -> None:
    assert units.parse_size(text) == size_bytes
    assert units.format_size(size_bytes) == text


@pytest.mark.parametrize("text", ["64", "64KB", "64kib", "1.5MiB", "-1B", "", "KiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        units.parse_size(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8078", Address("127.0.0.1", 8078)),
        ("localhost:0", Address("localhost", 0)),
        ("my_app-1.svc.cluster.local:65535", Address("my_app-1.svc.cluster.local", 65535)),
        ("[::1]:80", Address("::1", 80)),
        ("unix:/run/prana.sock", Address(unix_path="/run/prana.sock")),
    ],
)
def test_an_address_is_read_and_written_back(text: str, address: Address) -> None:
    assert units.parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("8078", "is not an address"),
        (":8078", "has no usable host"),
        ("localhost", "is not an address"),
        ("localhost:", "is not an address"),
        ("::1:80", "is not an address"),
        ("[::g]:80", "has no IPv6 address"),
        ("[]:80", "has no IPv6 address"),
        ("300.0.0.1:80", "has no usable host"),
        ("a b:80", "has no usable host"),
        ("-a:80", "has no usable host"),
        ("localhost:65536", "has port 65536"),
        ("unix:prana.sock", "is not a Unix socket"),
        ("http://localhost:80", "is not an address"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        units.parse_address(text)


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ("200-299", set(range(200, 300))),
        ("200", {200}),
        ("200-202, 401", {200, 201, 202, 401}),
    ],
)
def test_status_ranges_include_both_ends(text: str, statuses: set[int]) -> None:
    assert units.parse_statuses(text) == statuses


@pytest.mark.parametrize("text", ["", "2xx", "99", "600", "200-", "200-600", "200;201", "200,"])
def test_what_is_no_status_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a status range"):
        units.parse_statuses(text)


def test_an_empty_status_range_is_refused_with_the_right_order() -> None:
    with pytest.raises(ValueError, match="write 200-299"):
        units.parse_statuses("299-200")


@given(st.frozensets(st.integers(100, 599), min_size=1))
def test_statuses_survive_being_written_and_read(statuses: frozenset[int]) -> None:
    assert units.parse_statuses(units.format_statuses(statuses)) == statuses


def test_statuses_are_written_as_ranges() -> None:
    assert units.format_statuses({200, 201, 202, 401, 404}) == "200-202,401,404"


def test_a_label_of_a_host_name_has_at_most_63_characters() -> None:
    assert units.is_host(f"{'a' * 63}.{'b' * 63}.c")
    assert units.is_host("a")
    assert not units.is_host("a" * 64)
    assert not units.is_host(f"x.{'a' * 64}.y")
    assert not units.is_host(".".join(["a" * 63] * 4))

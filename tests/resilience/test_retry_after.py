import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.resilience.retry_after import MAX_S, retry_after_s
from prana.wire.fields import Field

NOW_S = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT


def asked_s(*fields: tuple[bytes, bytes]) -> float:
    return retry_after_s([Field(name, value) for name, value in fields], NOW_S)


@pytest.mark.parametrize(
    ("value", "expected_s"),
    [
        pytest.param(b"7", 7.0, id="seconds"),
        pytest.param(b"0", 0.0, id="at once"),
        pytest.param(b"301", 300.0, id="more than the bound"),
        pytest.param(b"9999999999999999999", 300.0, id="far more"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:49 GMT", 12.0, id="a date"),
        pytest.param(b"Sunday, 06-Nov-94 08:49:49 GMT", 12.0, id="RFC 850's form"),
        pytest.param(b"Sun Nov  6 08:49:49 1994", 12.0, id="asctime's form, which is UTC"),
        pytest.param(b"Sun, 06 Nov 1994 07:49:37 GMT", 0.0, id="a date in the past"),
        pytest.param(b"Mon, 07 Nov 1994 08:49:37 GMT", 300.0, id="tomorrow"),
        pytest.param(b"soon", 0.0, id="a word"),
        pytest.param(b"", 0.0, id="nothing"),
        pytest.param(b"-5", 0.0, id="a negative number"),
        pytest.param(b"1.5", 0.0, id="a fraction"),
        pytest.param("\u0665".encode(), 0.0, id="another script's digit"),
        pytest.param(b"Sun, 06 Nov 99999999999999999999 08:49:37 GMT", 0.0, id="a year beyond all integers"),
        pytest.param(b"Fri, 31 Dec 9999 23:59:59 -2359", 300.0, id="the last date there is"),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_bounds(value: bytes, expected_s: float) -> None:
    assert asked_s((b"Retry-After", value)) == expected_s


def test_an_answer_without_it_asks_for_nothing() -> None:
    assert asked_s((b"Content-Type", b"text/plain")) == 0


def test_of_several_the_longest_counts() -> None:
    assert asked_s((b"retry-after", b"3"), (b"Retry-After", b"9"), (b"RETRY-AFTER", b"x")) == 9


@pytest.mark.parametrize(
    ("value", "expected_s"),
    [(b"1500", 1.5), (b"0", 0.0), (b"9999999", 300.0), (b"-1", 4.0), (b"x", 4.0)],
)
def test_the_pushback_of_grpc_is_milliseconds_and_goes_before_retry_after(value: bytes, expected_s: float) -> None:
    assert asked_s((b"Retry-After", b"4"), (b"grpc-retry-pushback-ms", value)) == expected_s


@given(st.binary(max_size=60), st.floats(0, 1e11))
def test_whatever_it_says_the_answer_is_within_bounds(value: bytes, now_epoch_s: float) -> None:
    for name in (b"Retry-After", b"grpc-retry-pushback-ms"):
        assert 0 <= retry_after_s([Field(name, value)], now_epoch_s) <= MAX_S

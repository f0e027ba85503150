import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.request import Request
from prana.wire.fields import IN_REQUESTS, Field, FieldLines, Meaning
from prana.wire.headers import request_head
from prana.wire.timeouts import NAMES, timeout_us, timeout_value

GRPC, ENVOY, OURS = b"grpc-timeout", b"x-envoy-upstream-rq-timeout-ms", b"x-request-timeout"


@pytest.mark.parametrize(
    ("name", "value", "asked_us"),
    [
        (OURS, b"2", 2_000_000),
        (OURS, b"0.25", 250_000),
        (OURS, b"250ms", 250_000),
        (OURS, b"1.5s", 1_500_000),
        (OURS, b"2m", 120_000_000),
        (OURS, b"1h", 3_600_000_000),
        (OURS, b"0.000000001", 1),
        (ENVOY, b"250", 250_000),
        (ENVOY, b"9999999999", 9_999_999_999_000),
        (GRPC, b"2H", 7_200_000_000),
        (GRPC, b"3M", 180_000_000),
        (GRPC, b"4S", 4_000_000),
        (GRPC, b"250m", 250_000),
        (GRPC, b"250u", 250),
        (GRPC, b"5000n", 5),
        (GRPC, b"1n", 1),
        (GRPC, b"99999999H", 99_999_999 * 3_600_000_000),
    ],
)
def test_what_a_caller_asks_for(name: bytes, value: bytes, asked_us: int) -> None:
    assert timeout_us(name, value) == asked_us


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (
            OURS,
            [
                "0",
                "0.0",
                "0ms",
                "-1",
                "+1",
                "1.",
                ".5",
                "1e3",
                "1us",
                "1MS",
                "inf",
                "nan",
                "1,2",
                "0x1",
                "123456789",
                "soon",
            ],
        ),
        (ENVOY, ["0", "-1", "1.5", "1ms", "12345678901", "1_0"]),
        (GRPC, ["0S", "1", "S", "1s", "1h", "123456789m", "1.5S", "-1S", "1_0S"]),
    ],
)
def test_what_sets_no_timeout(name: bytes, values: list[str]) -> None:
    assert [timeout_us(name, value.encode()) for value in ["", *values]] == [0] * (len(values) + 1)


def test_what_sets_no_timeout_is_the_instances_affair() -> None:
    lines = FieldLines(IN_REQUESTS)
    assert lines[b"grpc-timeout: soon"].meaning is None
    assert lines[b"GRPC-Timeout: 5S"].meaning is Meaning.TIMEOUT
    assert lines[b"X_Request_Timeout: 5"].meaning is Meaning.CONTROL
    assert lines[b"X-Envoy-Expected-Rq-Timeout-Ms: 5"].meaning is Meaning.CONTROL


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [(OURS, b"1.5", b"0.250"), (OURS, b"1s", b"250ms"), (GRPC, b"1S", b"250m"), (ENVOY, b"1000", b"250")],
)
def test_the_rest_is_written_as_the_whole_was(name: bytes, value: bytes, written: bytes) -> None:
    assert timeout_value(name, value, 0.25) == written


@given(st.sampled_from(sorted(NAMES)), st.floats(1e-6, 3600))
def test_the_rest_is_never_rounded_to_none_and_by_less_than_a_millisecond(name: bytes, left_s: float) -> None:
    value = {OURS: b"5s", GRPC: b"5S", ENVOY: b"5000"}[name]
    assert left_s - 1e-6 <= timeout_us(name, timeout_value(name, value, left_s)) / 1e6 < left_s + 0.001


def made(*fields: Field, connection: bytes = b"") -> list[bytes]:
    request = Request(b"GET", b"/s/a", [], 0.0)
    request.rewritten = fields
    request.connection_tokens = frozenset(filter(None, [connection]))
    return request_head(request, b"i:1", 0.25).split(b"\r\n")


def test_an_instance_gets_the_rest_in_every_header_that_its_caller_sent() -> None:
    fields = [Field(b"Grpc-Timeout", b"1S", Meaning.TIMEOUT), Field(b"X-Request-Timeout", b"9", Meaning.TIMEOUT)]
    head = made(*fields, Field(b"X-Request-Timeout", b"500ms", Meaning.TIMEOUT))
    timeouts = [line for line in head if b"imeout" in line]
    assert timeouts == [b"X-Envoy-Expected-Rq-Timeout-Ms: 250", b"Grpc-Timeout: 250m", b"X-Request-Timeout: 250ms"]


def test_what_the_caller_takes_back_is_not_written_again() -> None:
    head = made(Field(b"X-Request-Timeout", b"9", Meaning.TIMEOUT), connection=b"x-request-timeout")
    assert [line for line in head if b"imeout" in line] == [b"X-Envoy-Expected-Rq-Timeout-Ms: 250"]

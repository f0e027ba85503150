"""What a header line must look like, and what its field means."""

import pytest

from prana.wire.fields import IN_REQUESTS, IN_RESPONSES, FieldLines, MalformedField, Meaning, listed
from prana.wire.head import MalformedHead

from .conftest import pairs


@pytest.fixture
def lines() -> FieldLines:
    return FieldLines(IN_REQUESTS)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        (b"X-A:b", b"X-A", b"b"),
        (b"X-A: \t b c \t ", b"X-A", b"b c"),
        (b"X-A:", b"X-A", b""),
        (b"x!#$%&'*+.^_`|~9: \xc3\xa9", b"x!#$%&'*+.^_`|~9", b"\xc3\xa9"),
        (b"X-A: b:c", b"X-A", b"b:c"),
    ],
)
def test_a_field_is_a_name_and_a_value_without_blanks_around_it(
    lines: FieldLines, line: bytes, name: bytes, value: bytes
) -> None:
    field = lines[line]
    assert pairs([field]) == [(name, value)]
    assert (field.line, field.meaning) == (name + b": " + value, None)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "colon"),
        (b"X-A", "colon"),
        (b":b", "name"),
        (b" X-A: b", "folded"),
        (b"\tX-A: b", "folded"),
        (b"X-A : b", "blank before the colon"),
        (b"X(A): b", "not allowed"),
        (b"X\xc3\xa9: b", "not allowed"),
        (b"X-A: b\x01", "control"),
        (b"X-A: \x7f", "control"),
        (b"Content-Length: -1", "number"),
        (b"Content-Length: 12345678901234567890", "number"),
        (b"Content-Length: 1, 1", "number"),
        (b"content_length: 1", "framing"),
        (b"Transfer_Encoding: chunked", "framing"),
        (b"Host: a b", "host"),
    ],
)
def test_what_is_none_is_refused_with_its_reason(lines: FieldLines, line: bytes, why: str) -> None:
    with pytest.raises(MalformedField, match=why):
        lines[line]
    assert line not in lines


@pytest.mark.parametrize("line", [b"X-A: b\rc", b"X-A: b\n", b"\0", b"X\r: b"])
def test_bare_line_ends_and_nul_are_told_apart(lines: FieldLines, line: bytes) -> None:
    with pytest.raises(MalformedHead):
        lines[line]


@pytest.mark.parametrize("end", [b"", b"\x01", b"a", b"a\x01"])
def test_a_megabyte_of_blanks_is_read_in_one_go(lines: FieldLines, end: bytes) -> None:
    """A pattern that goes back over them would take hours."""
    line = b"X:" + b" \t" * 2**19 + end
    if end.endswith(b"\x01"):
        with pytest.raises(MalformedField):
            lines[line]
    else:
        assert lines[line].value == end


def test_a_field_means_something_by_its_name_in_any_case(lines: FieldLines) -> None:
    assert lines[b"CONNECTION: Close, ,X-A"].meaning is Meaning.CONNECTION
    assert lines[b"CONNECTION: Close, ,X-A"].members == {b"close", b"x-a"}
    assert lines[b"content-length: 007"].number == 7
    assert lines[b"Date: x"].meaning is None, "it means nothing in a request"
    assert FieldLines(IN_RESPONSES)[b"Date: x"].meaning is Meaning.DATE


@pytest.mark.parametrize("line", [b"X_Forwarded_For: 6.6.6.6", b"x_request_id: a", b"X_Prana_Service: a", b"ho_st: a"])
def test_what_we_write_does_not_pass_in_disguise(lines: FieldLines, line: bytes) -> None:
    expected = None if line.startswith(b"ho_st") else Meaning.CONTROL
    assert lines[line].meaning is expected


def test_a_line_seen_before_is_the_same_field_and_secrets_and_long_lines_are_not_kept(lines: FieldLines) -> None:
    assert lines[b"X-A: b"] is lines[b"X-A: b"]
    for line in (b"Authorization: x", b"cookie: a=b", b"X-API-Key: x", b"X-A: " + b"b" * 256):
        assert lines[line] is not lines[line]


def test_the_memory_of_lines_is_bounded(lines: FieldLines) -> None:
    for number in range(5000):
        lines[b"X-A: %d" % number]
        assert len(lines) <= 1024
    assert lines[b"X-A: 1"].value == b"1"


def test_lists_may_have_empty_members() -> None:
    assert listed(b" A ,, b\t,") == {b"a", b"b"}
    assert listed(b"") == frozenset()

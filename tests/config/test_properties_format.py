"""The .properties format, as java.util.Properties.load reads it; tests/interop asks Java itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.config.properties import Malformed, Property, decoded, parse


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("a=b", "a", "b"),
        ("a:b", "a", "b"),
        ("a b", "a", "b"),
        ("a\tb", "a", "b"),
        ("a\fb", "a", "b"),
        ("  a \t = \f b", "a", "b"),
        ("a = = b", "a", "= b"),
        ("a : = b", "a", "= b"),
        ("a  b=c", "a", "b=c"),
        ("a", "a", ""),
        ("a=", "a", ""),
        ("=b", "", "b"),
        ("a=b  ", "a", "b  "),
        ("a=b # no comment", "a", "b # no comment"),
        (r"a\=b\:c\ d=e", "a=b:c d", "e"),
        (r"\#a=b", "#a", "b"),
        (r"a=\t\n\r\f\q\\", "a", "\t\n\r\fq\\"),
        (r"a=\u0041\u00e9", "a", "Aé"),
        (r"a=\uD83D\uDE00", "a", "😀"),
        (r"\u0061\u003d=b", "a=", "b"),
        ("a=b\\\n   c", "a", "bc"),
        ("a=b\\\r\n\tc", "a", "bc"),
        ("a=b\\\rc", "a", "bc"),
        ("a\\\n=b", "a", "b"),
        ("a=b\\\\\n# comment", "a", "b\\"),
        ("a=b\\\n# c", "a", "b# c"),
        ("a=b\\", "a", "b"),
        ("a=b\\\n", "a", "b"),
        ("a=b\\\n\n", "a", "b"),
    ],
)
def test_a_line_is_a_name_a_separator_and_a_value(text: str, name: str, value: str) -> None:
    assert list(parse(text)) == [Property(name, value, 1)]


def test_comments_and_blank_lines_are_passed_over_and_every_property_knows_its_first_line() -> None:
    text = "# one\n ! two \\\na=1\r\n\r\n \t\nb=2\\\n  3\\\n  4\rc=5\na=6"
    assert list(parse(text)) == [
        Property("a", "1", 3),
        Property("b", "234", 6),
        Property("c", "5", 9),
        Property("a", "6", 10),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (r"a=\u12", 1, r"has \u12; after \u stand four hexadecimal digits"),
        ("a=1\n\nb=2\\\n\\u00g0 x", 3, r"has \u00g0; after \u stand four hexadecimal digits"),
        (r"a=\ud83d", 1, r"has half of a surrogate pair; write both as \uD83D\uDE00"),
    ],
)
def test_an_escape_without_a_character_is_malformed(text: str, line: int, message: str) -> None:
    with pytest.raises(Malformed, match="^" + message.replace("\\", r"\\") + "$") as malformed:
        list(parse(text))
    assert malformed.value.line == line


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "iso-8859-1"])
def test_both_encodings_are_read(encoding: str) -> None:
    assert decoded("ñ=ö".encode(encoding)) == "ñ=ö"


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_what_java_would_store_is_read_back(properties: list[tuple[str, str]]) -> None:
    text = "".join(f"{stored(name)}={stored(value)}\n" for name, value in properties)
    assert [(each.name, each.value) for each in parse(text)] == properties


def stored(text: str) -> str:
    """As Properties.store escapes it, and every space as in a name."""
    units = text.encode("utf-16-be")
    codes = (int.from_bytes(units[start : start + 2], "big") for start in range(0, len(units), 2))
    return "".join(map(_escaped, map(chr, codes)))


def _escaped(character: str) -> str:
    if character in "\t\n\r\f":
        return "\\" + "tnrf"["\t\n\r\f".index(character)]
    if character in " =:#!\\":
        return "\\" + character
    return character if " " < character <= "~" else f"\\u{ord(character):04x}"

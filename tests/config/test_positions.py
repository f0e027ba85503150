"""On which line a key stands."""

import json
import tomllib
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana.config.positions import lines_of_keys, parse_key

DOCUMENT = '''\
# a comment with [brackets] and key = 1
top = 1
"quoted \\"key\\"" = 2
'literal.key' = 3

[table]
a.b = "x # not a comment"
a.c = """
fake = 1
[fake]
""""
d = \'\'\'
also = "fake"\'\'\'
list = [
  1,   # one
  [2, 3],
  { in = "line", deep.er = [4] },
]
inline = { x = 1, "y z" = { w = 2 } }
date = 1979-05-27 07:32:00

[ table . "sub.table" ]
e = 'C:\\path'

[[array]]
f = 1
[array.child]
g = 2
[[array]]
f = 3
[[array.nested]]
h = 4
[[array.nested]]
h = 5
'''

EXPECTED = {
    ("top",): 2,
    ('quoted "key"',): 3,
    ("literal.key",): 4,
    ("table",): 6,
    ("table", "a"): 7,
    ("table", "a", "b"): 7,
    ("table", "a", "c"): 8,
    ("table", "d"): 12,
    ("table", "list"): 14,
    ("table", "list", 0): 15,
    ("table", "list", 1): 16,
    ("table", "list", 1, 0): 16,
    ("table", "list", 1, 1): 16,
    ("table", "list", 2): 17,
    ("table", "list", 2, "in"): 17,
    ("table", "list", 2, "deep"): 17,
    ("table", "list", 2, "deep", "er"): 17,
    ("table", "list", 2, "deep", "er", 0): 17,
    ("table", "inline"): 19,
    ("table", "inline", "x"): 19,
    ("table", "inline", "y z"): 19,
    ("table", "inline", "y z", "w"): 19,
    ("table", "date"): 20,
    ("table", "sub.table"): 22,
    ("table", "sub.table", "e"): 23,
    ("array",): 25,
    ("array", 0): 25,
    ("array", 0, "f"): 26,
    ("array", 0, "child"): 27,
    ("array", 0, "child", "g"): 28,
    ("array", 1): 29,
    ("array", 1, "f"): 30,
    ("array", 1, "nested"): 31,
    ("array", 1, "nested", 0): 31,
    ("array", 1, "nested", 0, "h"): 32,
    ("array", 1, "nested", 1): 33,
    ("array", 1, "nested", 1, "h"): 34,
}


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    """Every path that a parsed document has."""
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = dict(enumerate(value)).items()
    else:
        return {path}
    return {path}.union(*(paths_of(element, (*path, key)) for key, element in inner))


def test_every_form_of_toml_is_followed() -> None:
    assert lines_of_keys(DOCUMENT) == EXPECTED
    assert paths_of(tomllib.loads(DOCUMENT)) - {()} == set(EXPECTED)


@pytest.mark.parametrize(
    "text",
    [
        'a = """"quoted""""',
        "a = ''''quoted''''",
        'a = """\\""""',
        'a = ""',
        "a = ''",
        'a = """"""',
        "a = [ ]",
        "a = {}",
    ],
)
def test_a_value_with_odd_delimiters_does_not_hide_the_next_line(text: str) -> None:
    document = f"{text}\nb = 1"
    tomllib.loads(document)
    assert lines_of_keys(document)[("b",)] == 2


@dataclass
class Writer:
    """Writes a tree as TOML in drawn styles, and keeps the line of every key."""

    data: st.DataObject
    text: str = ""
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)

    def style(self, *styles: str) -> str:
        return self.data.draw(st.sampled_from(styles))

    def mark(self, path: tuple[str | int, ...]) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def key(self, key: str) -> None:
        self.text += json.dumps(key, ensure_ascii=False).replace("\x7f", "\\u007f")

    def value(self, value: Any, path: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            self.text += "{"
            for index, (key, element) in enumerate(value.items()):
                self.text += ", " if index else " "
                self.mark((*path, key))
                self.key(key)
                self.text += " = "
                self.value(element, (*path, key))
            self.text += "}"
        elif isinstance(value, list):
            self.text += "["
            for index, element in enumerate(value):
                self.text += self.style("", "\n", '# ] [ , = "\n', " ")
                self.mark((*path, index))
                self.value(element, (*path, index))
                self.text += self.style(",", ",\n", "\n,")
            self.text += self.style("]", "\n]")
        elif isinstance(value, str):
            self.text += self.string(value)
        else:
            self.text += json.dumps(value)

    def string(self, value: str) -> str:
        basic = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        return self.style(basic, f'"""\n{basic[1:-1]}"""', f'"""{basic[1:-1]}\\\n  """')

    def table(self, tree: dict[str, Any], path: tuple[str | int, ...]) -> None:
        tables = {
            key: element for key, element in tree.items() if isinstance(element, dict) and self.style("[", "{") == "["
        }
        for key, element in tree.items():
            if key not in tables:
                self.text += self.style("", "\n", '# [comment] = "\n')
                self.mark((*path, key))
                self.key(key)
                self.text += self.style("=", " = ")
                self.value(element, (*path, key))
                self.text += self.style("\n", " # why\n")
        for key, element in tables.items():
            self.mark((*path, key))
            self.text += "["
            for index, part in enumerate((*path, key)):
                self.text += self.style(".", " . ") if index else ""
                self.key(str(part))
            self.text += "]\n"
            self.table(element, (*path, key))


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\"'\\#[]{}=,."), max_size=8)
VALUES = st.recursive(
    st.integers(-9, 9) | st.booleans() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4), st.data())
def test_every_key_is_found_on_the_line_it_was_written(tree: dict[str, Any], data: st.DataObject) -> None:
    writer = Writer(data)
    writer.table(tree, ())
    assert tomllib.loads(writer.text) == tree
    assert lines_of_keys(writer.text) == writer.lines


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("proxy.listen", ("proxy", "listen")),
        ('services."a.b".timeout', ("services", "a.b", "timeout")),
        (" app . 'name' ", ("app", "name")),
    ],
)
def test_a_dotted_key_is_split_as_toml_does(text: str, parts: tuple[str, ...]) -> None:
    assert parse_key(text.strip()) == parts


@pytest.mark.parametrize("text", ["", "a.", ".a", "a b", "a\nb", "a = 1\nb", "[a]", "a #", '"a'])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a key"):
        parse_key(text)

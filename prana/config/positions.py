"""On which line of a TOML text a key stands. `tomllib` gives the values, not their places.

Works on a text that `tomllib` has already accepted, so nothing is validated here: only the grammar that moves
a key's place is followed (https://toml.io/en/v1.0.0: tables, arrays of tables, dotted and quoted keys, inline
tables, arrays, strings that hold any of these characters).
"""

import re
import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]  # table keys, and indexes of array elements

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""+|\'\'\'.*?\'\'\'+|"(?:\\.|[^"\\])*"|\'[^\']*\'',
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]*")


def lines_of_keys(text: str) -> Mapping[Path, int]:
    """The line, from 1, where each key, table and array element first appears."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


def parse_key(text: str) -> tuple[str, ...]:
    """The parts of a dotted key, such as `services."a.b".timeout`. ValueError when it is none."""
    scanner = _Scanner(f"{text}=0")
    try:
        tomllib.loads(scanner.text)
        parts = scanner.key()
    except (tomllib.TOMLDecodeError, AssertionError):
        parts = []
    if not parts or scanner.position != len(text):  # more than a key, such as a second line
        raise ValueError(f"{text!r} is not a key; write section.key, such as proxy.listen")
    return tuple(parts)


class _Scanner:
    """Reads forward through one document; `position` is always at the next unread character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.lines: dict[Path, int] = {}
        self._last_index: dict[Path, int] = {}  # of every array of tables

    def document(self) -> None:
        table: Path = ()
        self.blank()
        while self.position < len(self.text):
            if self.at("[["):
                table = self.header(2)
            elif self.at("["):
                table = self.header(1)
            else:
                self.pair(table)
            self.blank()

    def at(self, expected: str) -> bool:
        return self.text.startswith(expected, self.position)

    def blank(self) -> None:
        self.take(_BLANK)

    def take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.position)
        if match is None:  # tomllib accepted the text, so this is a gap in the patterns above
            raise AssertionError(f"unexpected text at offset {self.position}")
        self.position = match.end()
        return match[0]

    def header(self, brackets: int) -> Path:
        """`[a.b]` or `[[a.b]]`: the path of the table that it opens."""
        line = self.line()
        self.position += brackets
        parts = self.key()
        self.position += brackets
        path: Path = ()
        for part in parts[:-1]:
            path = self.inside((*path, part))
            self.lines.setdefault(path, line)
        path = (*path, parts[-1])
        if brackets == 1:
            path = self.inside(path)
        else:
            self.lines.setdefault(path, line)
            self._last_index[path] = self._last_index.get(path, -1) + 1
            path = (*path, self._last_index[path])
        self.lines.setdefault(path, line)
        return path

    def inside(self, path: Path) -> Path:
        """A header that names an array of tables means the newest table of it."""
        return (*path, self._last_index[path]) if path in self._last_index else path

    def line(self) -> int:
        return self.text.count("\n", 0, self.position) + 1

    def key(self) -> list[str]:
        parts = []
        while True:
            self.blank()
            quoted = self.at('"') or self.at("'")
            part = self.take(_STRING if quoted else _BARE_KEY)
            parts.append(tomllib.loads(f"key = {part}")["key"] if quoted else part)
            self.blank()
            if not self.at("."):
                return parts
            self.position += 1

    def pair(self, table: Path) -> None:
        line = self.line()
        path = table
        for part in self.key():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self.position += len("=")
        self.value(path)

    def value(self, path: Path) -> None:
        self.blank()
        if self.at('"') or self.at("'"):
            self.take(_STRING)
        elif self.at("["):
            self.array(path)
        elif self.at("{"):
            self.inline_table(path)
        else:
            self.take(_SCALAR)

    def array(self, path: Path) -> None:
        self.position += 1
        self.blank()
        index = 0
        while not self.at("]"):
            self.lines[(*path, index)] = self.line()
            self.value((*path, index))
            self.separator()
            index += 1
        self.position += 1

    def inline_table(self, path: Path) -> None:
        self.position += 1
        self.blank()
        while not self.at("}"):
            self.pair(path)
            self.separator()
        self.position += 1

    def separator(self) -> None:
        self.blank()
        if self.at(","):
            self.position += 1
            self.blank()

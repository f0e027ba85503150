"""The format of Java's .properties files, as `java.util.Properties.load` reads it, with the line of each property.

A logical line is a name, a separator (`=`, `:` or white space, with white space around it) and a value. It goes on in
the next line where an odd number of backslashes ends it; white space at the start of a line never counts, at the end it
always does. `#` and `!` start comments. `\\t \\n \\r \\f \\uXXXX` are escapes, and a backslash before anything else is
left out, so that `\\=`, `\\:` and `\\ ` put separators into names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SPACE = " \t\f"
_LINE_END = re.compile(r"\r\n|\r|\n")
_NAME = re.compile(r"(?:\\.|[^\\=: \t\f])*")
_SEPARATOR = re.compile(r"[ \t\f]*[=:]?[ \t\f]*")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)")
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Property:
    """One property and the line, from 1, where it starts."""

    name: str
    value: str
    line: int


class Malformed(ValueError):
    """An escape that stands for no character, and its logical line's first line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def decoded(content: bytes) -> str:
    """The text of a file: UTF-8, as Spring's and most editors write it, else ISO-8859-1, which is Java's own.

    Text of the latter that happens to be UTF-8 as well hardly exists: behind a letter beyond ASCII there would have to
    be a control character or a symbol.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("iso-8859-1")


def parse(text: str) -> Iterator[Property]:
    """Every property in the order of the text, one that is repeated too. Raises Malformed."""
    for line, logical in _logical_lines(text):
        name = _matched(_NAME, logical, 0)
        separator = _matched(_SEPARATOR, logical, len(name))
        value = logical[len(name) + len(separator) :]
        yield Property(_unescaped(name, line), _unescaped(value, line), line)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    begun, first = "", 0
    for number, natural in enumerate(_LINE_END.split(text), start=1):
        piece = natural.lstrip(_SPACE)
        if not begun:  # also behind a backslash alone on its line, as in Java
            if not piece or piece[0] in "#!":
                continue
            first = number
        if (len(piece) - len(piece.rstrip("\\"))) % 2:
            begun += piece[:-1]
        else:
            yield first, begun + piece
            begun = ""
    if begun:
        yield first, begun


def _matched(pattern: re.Pattern[str], text: str, start: int) -> str:
    match = pattern.match(text, start)
    return match[0] if match else ""


def _unescaped(text: str, line: int) -> str:
    if "\\" not in text:
        return text

    def character(match: re.Match[str]) -> str:
        escaped = match[1]
        if escaped == "u":
            raise Malformed(line, f"has {text[match.start() :][:6]}; after \\u stand four hexadecimal digits")
        return chr(int(escaped[1:], 16)) if len(escaped) > 1 else _CONTROLS.get(escaped, escaped)

    unescaped = _ESCAPE.sub(character, text)
    try:
        # Java's characters are those of UTF-16, so a pair of escapes may be one of ours.
        return unescaped.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise Malformed(line, "has half of a surrogate pair; write both as \\uD83D\\uDE00") from None

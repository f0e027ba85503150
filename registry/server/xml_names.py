"""Element names as XStream writes and reads them: any metadata key becomes a name that XML allows, and back.

Source: XStream `XmlFriendlyNameCoder` with its defaults: `my_key` is seen as `my__key`, `$x` as `_-x`, `a b` as
`a_.0020b`.
"""

import re

_NAME_START = re.compile("[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]")
_ESCAPED = re.compile(r"__|_-|_\.(?![dD][89a-fA-F])[0-9A-Fa-f]{4}")  # half of a surrogate pair is no character


def escaped(name: str) -> str:
    return "".join(_escaped_char(char, first=at == 0) for at, char in enumerate(name))


def unescaped(name: str) -> str:
    return _ESCAPED.sub(lambda found: _unescaped_char(found[0]), name)


def _escaped_char(char: str, *, first: bool) -> str:
    if char == "_":
        return "__"
    if char == "$":
        return "_-"
    if _NAME_START.match(char) or (not first and char in "-.0123456789"):
        return char
    # XStream lets `:` pass, which is no well-formed document without a namespace; the escape is.
    return f"_.{ord(char):04x}"


def _unescaped_char(escape: str) -> str:
    return {"__": "_", "_-": "$"}.get(escape) or chr(int(escape[2:], 16))

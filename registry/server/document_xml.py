"""Documents as XML, laid out as XStream lays them out."""

import re
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from registry.server.document import EMPTY_METADATA, Document
from registry.server.xml_names import escaped

_NO_XML_CHAR = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 section 2.2


def to_xml(document: Document) -> bytes:
    ((name, content),) = document.items()
    lines: list[str] = []
    _write(lines, "", name, content)
    return "\n".join(lines).encode()


def _write(lines: list[str], indent: str, name: str, content: Any) -> None:
    if not isinstance(content, dict):
        lines.append(f"{indent}<{name}>{_text(content)}</{name}>")
    elif name == "metadata" and content is not EMPTY_METADATA:
        # An element needs a name; for an empty key Java writes `<>`, which nobody can read.
        entries = [(escaped(key), text) for key, text in content.items() if key]
        _write_children(lines, indent, "metadata", "", entries)
    else:
        attributes = "".join(f" {key[1:]}={quoteattr(text)}" for key, text in content.items() if key.startswith("@"))
        if "$" in content:
            lines.append(f"{indent}<{name}{attributes}>{_text(content['$'])}</{name}>")
        else:
            _write_children(lines, indent, name, attributes, _children(content))


def _write_children(lines: list[str], indent: str, name: str, attributes: str, children: list[tuple[str, Any]]) -> None:
    if not children:
        lines.append(f"{indent}<{name}{attributes}/>")
        return
    lines.append(f"{indent}<{name}{attributes}>")
    for child_name, child in children:
        _write(lines, indent + "  ", child_name, child)
    lines.append(f"{indent}</{name}>")


def _children(content: Document) -> list[tuple[str, Any]]:
    children = []
    for key, child in content.items():
        if not key.startswith("@"):
            name = "overriddenstatus" if key == "overriddenStatus" else key
            children += [(name, item) for item in child] if isinstance(child, list) else [(name, child)]
    return children


def _text(value: object) -> str:
    # A bare carriage return would be read back as a line feed.
    return escape(_NO_XML_CHAR.sub("\N{REPLACEMENT CHARACTER}", str(value)), {"\r": "&#xd;"})

"""Reading an instance from XML, as XStream's converters in Eureka read it.

Source: Netflix eureka 2.0.5 `Converters`. The document is bounded in depth and in elements, and may have no document
type: no entity is ever expanded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from registry.server.jackson import MAX_INT, MAX_LONG
from registry.server.json_body import registration_of
from registry.server.registration import AMAZON_CLASS, PLAIN_CLASS, Registration, UnreadableBodyError
from registry.server.xml_names import unescaped

MAX_DEPTH = 64  # of an instance, four levels are read
MAX_ELEMENTS = 10_000


def read_xml(body: bytes) -> Registration:
    """Reads `<instance>...</instance>`. Raises UnreadableBodyError."""
    root = _parsed(body)
    if root.name != "instance":
        raise UnreadableBodyError("no instance root")
    return registration_of(_json_fields(root))


@dataclass(slots=True)
class _Element:
    name: str
    attributes: dict[str, str]
    texts: list[str] = field(default_factory=list)
    children: "list[_Element]" = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def entries(self) -> Iterator[tuple[str, str]]:
        return ((child.name, child.text) for child in self.children)


def _json_fields(instance: _Element) -> dict[str, Any]:
    """The same fields as the JSON form has, with what XML reads differently already decided."""
    fields: dict[str, Any] = {}
    for child in instance.children:
        match child.name:
            case "port":
                fields["port"] = {"$": _int(child), "@enabled": child.attributes.get("enabled") != "false"}
            case "securePort":
                fields["securePort"] = {"$": _int(child), "@enabled": child.attributes.get("enabled") == "true"}
            case "countryId":
                fields["countryId"] = _int(child)
            case "dataCenterInfo":
                fields["dataCenterInfo"] = _data_center(child)
            case "leaseInfo":
                fields["leaseInfo"] = {name: text for name, text in child.entries() if _is_int(text)}
            case "metadata":
                fields["metadata"] = dict(child.entries())
            case "lastDirtyTimestamp":
                fields["lastDirtyTimestamp"] = _long(child.text)
            case "status" | "overriddenstatus" | "overriddenStatus":
                fields[child.name] = child.text.upper()
            case name:
                fields[name] = child.text
    return fields


def _data_center(element: _Element) -> dict[str, Any] | None:
    """Its `class` attribute is ignored; the name alone decides."""
    document: dict[str, Any] | None = None
    for child in element.children:
        if child.name == "name":
            amazon = child.text.lower() == "amazon"
            document = {"@class": AMAZON_CLASS if amazon else PLAIN_CLASS, "name": "Amazon" if amazon else child.text}
        elif child.name == "metadata":
            if document is None:
                raise UnreadableBodyError("metadata of a data center without a name")
            if document["@class"] == AMAZON_CLASS:
                document["metadata"] = dict(child.entries())
    return document


def _int(element: _Element) -> int:
    """Unlike in JSON, a number that is none is an error (`Integer.valueOf`)."""
    if not _is_int(element.text):
        raise UnreadableBodyError(element.name)
    return int(element.text)


def _is_int(text: str) -> bool:
    number = _long(text)
    return number is not None and abs(number) <= MAX_INT


def _long(text: str) -> int | None:
    number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,19}", text) else None
    return None if number is None or abs(number) > MAX_LONG else number


def _parsed(body: bytes) -> _Element:
    tree = _Tree()
    parser = expat.ParserCreate()
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.text
    parser.StartDoctypeDeclHandler = tree.doctype
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # also an encoding that is unknown or not kept to
        raise UnreadableBodyError(str(error)) from error
    return tree.root.children[0]


class _Tree:
    """Builds the elements of one document, within the limits."""

    def __init__(self) -> None:
        self.root = _Element("", {})
        self._open = [self.root]
        self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if len(self._open) > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise UnreadableBodyError("too deep or too long")
        element = _Element(unescaped(name), attributes)
        self._open[-1].children.append(element)
        self._open.append(element)

    def end(self, _name: str) -> None:
        self._open.pop()

    def text(self, text: str) -> None:
        self._open[-1].texts.append(text)

    def doctype(self, *_: object) -> None:
        raise UnreadableBodyError("a document type is not read")

"""Registrations in XML: names, limits and hostile documents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.server.document import instance_document
from registry.server.document_xml import to_xml
from registry.server.json_body import registration_of
from registry.server.registration import PLAIN_CLASS, UnreadableBodyError
from registry.server.store import LeaseStore
from registry.server.xml_body import MAX_DEPTH, MAX_ELEMENTS, read_xml
from registry.server.xml_names import escaped, unescaped

PLAIN = {
    "instanceId": "i1",
    "hostName": "h1",
    "app": "A",
    "ipAddr": "10.0.0.1",
    "dataCenterInfo": {"@class": PLAIN_CLASS, "name": "MyOwn"},
    "lastDirtyTimestamp": 100,
}
texts = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF) | st.sampled_from("\t\r\n"))
names = st.text(st.characters(max_codepoint=0xD7FF), min_size=1)


@given(names)
def test_names_read_back(name: str) -> None:
    assert unescaped(escaped(name)) == name


@pytest.mark.parametrize(
    ("written", "name"),
    [("a__b", "a_b"), ("_-x", "$x"), ("a_.0020b", "a b"), ("a_b", "a_b"), ("a_.zz", "a_.zz"), ("_.d800", "_.d800")],
)
def test_only_whole_escapes_are_escapes(written: str, name: str) -> None:
    assert unescaped(written) == name


@given(st.dictionaries(names, texts))
def test_an_instance_written_as_xml_reads_back_the_same(metadata: dict[str, str]) -> None:
    metadata.pop("@class", None)
    registration = registration_of({**PLAIN, "metadata": metadata, "vipAddress": "v,w", "sid": "s"})
    store = LeaseStore(lambda: 1)
    store.register(registration)
    assert read_xml(to_xml(instance_document(next(store.leases())))) == registration


def document(inside: str, prologue: str = "") -> bytes:
    required = "<instanceId>i</instanceId><hostName>h</hostName><app>A</app><ipAddr>1</ipAddr>"
    return f"{prologue}<instance>{required}{inside}</instance>".encode()


def nested(depth: int) -> bytes:
    """`depth` counts the root."""
    return document("<a>" * (depth - 1) + "</a>" * (depth - 1))


def test_depth_and_length_are_bounded() -> None:
    read_xml(nested(MAX_DEPTH))
    with pytest.raises(UnreadableBodyError):
        read_xml(nested(MAX_DEPTH + 1))
    read_xml(document("<a/>" * (MAX_ELEMENTS - 5)))
    with pytest.raises(UnreadableBodyError):
        read_xml(document("<a/>" * (MAX_ELEMENTS - 4)))


BOMB = "<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {outer} '{f'&{inner};' * 10}'>" for inner, outer in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    "body",
    [
        document("<sid>&g;</sid>", f"<!DOCTYPE instance [{BOMB}]>"),
        document("<sid>&x;</sid>", '<!DOCTYPE instance [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
        document("<sid>&x;</sid>"),
        document("", '<!DOCTYPE instance SYSTEM "http://127.0.0.1:1/x.dtd">'),
        document("", '<?xml version="1.0" encoding="no-such"?>'),
        document("", '<?xml version="1.0" encoding="utf-7"?>'),
        document("<sid>\x00</sid>"),
        document("<sid>&#0;</sid>"),
        document("<sid>").replace(b"</instance>", b""),
        document("") + b"<instance/>",
        b"\xff\xfe\x00",
        b"",
    ],
)
def test_hostile_documents_are_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableBodyError):
        read_xml(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_unreadable(tail: bytes) -> None:
    for body in (tail, document("")[:-11] + tail + b"</instance>"):
        try:
            read_xml(body)
        except UnreadableBodyError:
            continue

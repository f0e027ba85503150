"""The same registry in XML: as it is written, and as registrations are read."""

from typing import Any

import pytest

from tests.contract.eureka import XML, Eureka

CANNOT_PARSE_XML = b"<error><message>cannot parse request body</message></error>"
MY_OWN = (
    '<dataCenterInfo class="com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"><name>MyOwn</name></dataCenterInfo>'
)
AMAZON = "com.netflix.appinfo.AmazonInfo"


def document(eureka: Eureka, extra: str = "", *, leave: str = "", data_center: str = MY_OWN) -> str:
    fields = {"instanceId": eureka.id, "hostName": "h1", "app": eureka.app, "ipAddr": "10.0.0.1"}
    plain = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items() if name != leave)
    return f"<instance>{plain}{data_center}{extra}</instance>"


async def post(eureka: Eureka, body: str | bytes, **headers: str) -> tuple[int, bytes]:
    data = body.encode() if isinstance(body, str) else body
    return await eureka.call("POST", f"apps/{eureka.app}", data=data, Content_Type="application/xml", **headers)


async def test_metadata_keys_are_escaped_so_that_they_can_be_element_names(eureka: Eureka) -> None:
    await eureka.register(metadata={"my_key": "x&y", "$d": "1", "sp ace": "é<", "1n": "v"})
    instance = (await eureka.ask("GET", eureka.path, **XML)).xml
    assert instance.tag == "instance"
    port = instance.find("port")
    assert port is not None
    assert (port.text, port.attrib) == ("7001", {"enabled": "true"})
    assert instance.findtext("overriddenstatus") == "UNKNOWN"
    assert {it.tag: it.text for it in instance.iterfind("metadata/*")} == {
        "my__key": "x&y",
        "_-d": "1",
        "sp_.0020ace": "é<",
        "_.0031n": "v",
    }


async def test_the_xml_form_has_the_same_fields_as_the_json_form(eureka: Eureka) -> None:
    await eureka.register(vipAddress="v", appGroupName="g", sid="s")
    as_json = await eureka.registered()
    as_xml = (await eureka.ask("GET", eureka.path, **XML)).xml
    assert {it.tag for it in as_xml} == {name.replace("overriddenS", "overriddens") for name in as_json}
    metadata = as_xml.find("metadata")
    assert metadata is not None
    assert metadata.attrib == {"class": "java.util.Collections$EmptyMap"}


async def test_lists_in_xml_have_repeated_elements(eureka: Eureka) -> None:
    vip = eureka.app.lower()
    for number in range(2):
        await eureka.register(instanceId=f"{eureka.app}:{number}", vipAddress=vip)
    applications = (await eureka.ask("GET", f"vips/{vip}", **XML)).xml
    assert applications.tag == "applications"
    assert applications.findtext("versions__delta") == "-1"
    assert applications.findtext("apps__hashcode") == "UP_2_"
    assert applications.findtext("application/name") == eureka.app
    assert len(applications.findall("application/instance")) == 2
    assert (await eureka.ask("GET", f"apps/{eureka.app}", **XML)).xml.tag == "application"


async def test_what_is_written_as_xml_can_be_registered_as_xml(eureka: Eureka) -> None:
    await eureka.register(metadata={"my_key": "x&y", "$d": "é", "sp ace": " v "}, vipAddress="v", status="DOWN")
    before = await eureka.registered()
    written = (await eureka.ask("GET", eureka.path, **XML)).body
    await eureka.call("DELETE", eureka.path)
    assert await post(eureka, written) == (204, b"")
    after = await eureka.registered()
    times = {"leaseInfo", "lastUpdatedTimestamp"}
    assert {name: it for name, it in after.items() if name not in times} == {
        name: it for name, it in before.items() if name not in times
    }


@pytest.mark.parametrize(
    ("extra", "read_back"),
    [
        ("<port>80</port>", {"port": {"$": 80, "@enabled": "true"}}),
        ('<port enabled="TRUE">80</port>', {"port": {"$": 80, "@enabled": "true"}}),
        ('<port enabled="false">+80</port>', {"port": {"$": 80, "@enabled": "false"}}),
        ("<securePort>80</securePort>", {"securePort": {"$": 80, "@enabled": "false"}}),
        ('<securePort enabled="true">80</securePort>', {"securePort": {"$": 80, "@enabled": "true"}}),
        ("", {"port": {"$": 7001, "@enabled": "true"}, "securePort": {"$": 7002, "@enabled": "false"}}),
        ("<status>up</status>", {"status": "UP"}),  # not so in JSON
        ("<status> UP </status>", {"status": "UNKNOWN"}),
        ("<overriddenstatus>DOWN</overriddenstatus>", {"status": "DOWN", "overriddenStatus": "DOWN"}),
        ("<overriddenStatus>DOWN</overriddenStatus>", {"status": "DOWN", "overriddenStatus": "DOWN"}),
        ("<lastDirtyTimestamp>1000</lastDirtyTimestamp>", {"lastDirtyTimestamp": "1000"}),
        ("<countryId>3</countryId>", {"countryId": 3}),
        ("<metadata><a__b>1</a__b><c_d>2</c_d></metadata>", {"metadata": {"a_b": "1", "c_d": "2"}}),
        ("<metadata><k>1</k><k> v </k><e/></metadata>", {"metadata": {"k": " v ", "e": ""}}),
        ("<metadata><k><![CDATA[<x>]]>&amp;&#65;</k></metadata>", {"metadata": {"k": "<x>&A"}}),
        ("<metadata>text</metadata>", {"metadata": {"@class": "java.util.Collections$EmptyMap"}}),
        ("<sid>a<b>c</b>d</sid>", {"sid": "ad"}),
        ("<sid>1</sid><sid>2</sid>", {"sid": "2"}),
        ("<unknown><x>1</x></unknown><?pi x?><!-- c -->", {"hostName": "h1"}),
        ("<vipAddress/>", {"vipAddress": ""}),
    ],
)
async def test_xml_is_read_as_eureka_reads_it(eureka: Eureka, extra: str, read_back: dict[str, Any]) -> None:
    assert await post(eureka, document(eureka, extra)) == (204, b"")
    instance = await eureka.registered()
    assert {name: instance[name] for name in read_back} == read_back


@pytest.mark.parametrize(
    ("lease", "durations"),
    [
        (
            "<renewalIntervalInSecs>5</renewalIntervalInSecs><durationInSecs>15</durationInSecs><other>7</other>",
            (5, 15),
        ),
        ("<durationInSecs>0</durationInSecs>", (30, 90)),
        ("<durationInSecs>-4</durationInSecs>", (30, 90)),
    ],
)
async def test_the_lease_in_xml(eureka: Eureka, lease: str, durations: tuple[int, int]) -> None:
    await post(eureka, document(eureka, f"<leaseInfo>{lease}</leaseInfo>"))
    info = (await eureka.registered())["leaseInfo"]
    assert (info["renewalIntervalInSecs"], info["durationInSecs"]) == durations


@pytest.mark.parametrize(
    ("sent", "read_back"),
    [
        ("<name>MyOwn</name>", {"name": "MyOwn"}),
        ("<name>Netflix</name>", {"name": "Netflix"}),
        ("<name>MyOwn</name><metadata><x>1</x></metadata>", {"name": "MyOwn"}),
        (
            "<name>amazon</name><metadata><instance-id>i-1</instance-id></metadata>",
            {"@class": AMAZON, "name": "Amazon", "metadata": {"instance-id": "i-1"}},
        ),
        ("<name>Amazon</name>", {"@class": AMAZON, "name": "Amazon", "metadata": {"instance-id": "{id}"}}),
    ],
)
async def test_in_xml_the_name_makes_the_data_center_whatever_its_class(
    eureka: Eureka, sent: str, read_back: dict[str, Any]
) -> None:
    data_center = f'<dataCenterInfo class="java.lang.ProcessBuilder">{sent}</dataCenterInfo>'
    assert await post(eureka, document(eureka, data_center=data_center)) == (204, b"")
    plain = {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"}
    if read_back.get("metadata") == {"instance-id": "{id}"}:
        read_back = {**read_back, "metadata": {"instance-id": eureka.id}}
    assert (await eureka.registered())["dataCenterInfo"] == {**plain, **read_back}


@pytest.mark.parametrize(
    ("leave", "data_center", "text"),
    [
        ("hostName", MY_OWN, b"Missing hostname"),
        ("ipAddr", MY_OWN, b"Missing ip address"),
        ("", "", b"Missing dataCenterInfo"),
        ("", "<dataCenterInfo/>", b"Missing dataCenterInfo"),
        ("", "<dataCenterInfo><other>x</other></dataCenterInfo>", b"Missing dataCenterInfo"),
        ("app", MY_OWN, CANNOT_PARSE_XML),
        ("", "<dataCenterInfo><name>Cloud</name></dataCenterInfo>", CANNOT_PARSE_XML),
        ("", "<dataCenterInfo><metadata/><name>Amazon</name></dataCenterInfo>", CANNOT_PARSE_XML),
    ],
)
async def test_a_registration_refused_in_xml_says_eurekas_words(
    eureka: Eureka, leave: str, data_center: str, text: bytes
) -> None:
    assert await post(eureka, document(eureka, leave=leave, data_center=data_center)) == (400, text)
    assert await eureka.status_of("GET", eureka.path) == 404


@pytest.mark.parametrize("field", ["port", "securePort", "countryId"])
@pytest.mark.parametrize("number", ["x", "", " 80 ", "4294967296"])
async def test_a_number_in_xml_must_be_one(eureka: Eureka, field: str, number: str) -> None:
    assert await post(eureka, document(eureka, f"<{field}>{number}</{field}>")) == (400, CANNOT_PARSE_XML)


@pytest.mark.parametrize(
    "prologue",
    ["<!DOCTYPE instance>", '<!DOCTYPE instance [<!ENTITY x "y">]>', '<!DOCTYPE i SYSTEM "file:///etc/hostname">'],
)
async def test_a_document_type_is_refused(eureka: Eureka, prologue: str) -> None:
    assert await post(eureka, prologue + document(eureka)) == (400, CANNOT_PARSE_XML)


@pytest.mark.parametrize("body", ["", "<instance>", "{}", "<other/>", "<instance>" + "<a>" * 5000 + "</a>" * 5000])
async def test_what_is_no_instance_in_xml_is_400(eureka: Eureka, body: str) -> None:
    assert await post(eureka, body) == (400, CANNOT_PARSE_XML)


async def test_xml_is_in_the_encoding_that_it_declares(eureka: Eureka) -> None:
    latin = '<?xml version="1.0" encoding="iso-8859-1"?>' + document(eureka, "<sid>é</sid>")
    assert await post(eureka, latin.encode("latin-1")) == (204, b"")
    assert (await eureka.registered())["sid"] == "é"
    assert await post(eureka, document(eureka, "<sid>é</sid>").encode("latin-1")) == (400, CANNOT_PARSE_XML)


async def test_text_xml_is_no_media_type_of_eureka(eureka: Eureka) -> None:
    body = document(eureka).encode()
    assert await eureka.status_of("POST", f"apps/{eureka.app}", data=body, Content_Type="text/xml") == 415

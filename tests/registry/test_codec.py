import json
from typing import Any

import pytest

from registry.codec import Action, GarbledRegistry, Stored, decode_applications, decode_stored
from registry.instance import Instance, Status

FULL: dict[str, Any] = {
    "instanceId": "orders-1:orders:5000",
    "hostName": "orders-1",
    "app": "ORDERS",
    "ipAddr": "10.0.0.7",
    "status": "UP",
    "overriddenStatus": "UNKNOWN",
    "port": {"$": 5000, "@enabled": "true"},
    "securePort": {"$": 7002, "@enabled": "false"},
    "countryId": 1,
    "dataCenterInfo": {
        "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
        "name": "MyOwn",
    },
    "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": 90},
    "metadata": {"zone": "a", "my_key": "x"},
    "vipAddress": "Orders, shop-orders",
    "secureVipAddress": "Orders-TLS",
    "lastUpdatedTimestamp": "1700000000456",
    "lastDirtyTimestamp": "1700000000123",
    "actionType": "ADDED",
}

READ = Instance(
    app="ORDERS",
    id="orders-1:orders:5000",
    host="orders-1",
    ip="10.0.0.7",
    port=5000,
    status=Status.UP,
    vips=("orders", "shop-orders"),
    secure_vips=("orders-tls",),
    secure_port=0,
    zone="a",
    metadata={"zone": "a", "my_key": "x"},
    last_dirty_ms=1700000000123,
    last_updated_ms=1700000000456,
)


def document(*instances: object, hashcode: object = "UP_1_") -> bytes:
    application = {"name": "ORDERS", "instance": list(instances)}
    applications = {"versions__delta": "1", "apps__hashcode": hashcode, "application": [application]}
    return json.dumps({"applications": applications}).encode()


def read(**changes: object) -> Instance:
    """The one instance of a document, with fields changed, or left out where the change is `...`."""
    raw = {key: value for key, value in (FULL | changes).items() if value is not ...}
    listing = decode_applications(document(raw))
    assert listing.skipped == 0
    return listing.entries[0].instance


def test_a_genuine_document_is_read_in_full() -> None:
    listing = decode_applications(document(FULL))
    assert [entry.instance for entry in listing.entries] == [READ]
    assert (listing.hashcode, listing.skipped) == ("UP_1_", 0)


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"port": {"$": "5000", "@enabled": True}}, "port", 5000),
        ({"port": {"$": 5000.0, "@enabled": "TRUE"}}, "port", 5000),
        ({"port": {"$": 5000}}, "port", 5000),
        ({"port": 5000}, "port", 5000),
        ({"port": "5000"}, "port", 5000),
        ({"port": {"$": 5000, "@enabled": "false"}}, "port", 0),
        ({"port": {"$": 5000, "@enabled": False}}, "port", 0),
        ({"port": ...}, "port", 7001),
        ({"port": None}, "port", 7001),
        ({"securePort": {"$": "8443", "@enabled": "true"}}, "secure_port", 8443),
        ({"securePort": {"$": 8443}}, "secure_port", 0),
        ({"securePort": ...}, "secure_port", 0),
        ({"instanceId": ...}, "id", "orders-1"),
        ({"instanceId": ""}, "id", "orders-1"),
        ({"instanceId": 17}, "id", "17"),
        ({"instanceId": ..., "dataCenterInfo": {"metadata": {"instance-id": "i-1"}}}, "id", "i-1"),
        ({"instanceId": ..., "dataCenterInfo": "MyOwn"}, "id", "orders-1"),
        ({"hostName": ...}, "host", "10.0.0.7"),
        ({"ipAddr": ...}, "ip", "orders-1"),
        ({"app": "orders"}, "app", "ORDERS"),
        ({"app": ...}, "app", "ORDERS"),
        ({"status": "DOWN"}, "status", Status.DOWN),
        ({"status": "up"}, "status", Status.UNKNOWN),
        ({"status": ...}, "status", Status.UNKNOWN),
        ({"status": []}, "status", Status.UNKNOWN),
        ({"vipAddress": ...}, "vips", ()),
        ({"vipAddress": None}, "vips", ()),
        ({"vipAddress": " , A ,b,"}, "vips", ("a", "b")),
        ({"lastDirtyTimestamp": 12}, "last_dirty_ms", 12),
        ({"lastDirtyTimestamp": "soon"}, "last_dirty_ms", 0),
        ({"lastUpdatedTimestamp": ...}, "last_updated_ms", 0),
        ({"metadata": {"@class": "java.util.Collections$EmptyMap"}}, "metadata", {}),
        ({"metadata": {"@class": "x", "n": 1, "b": True, "none": None, "l": []}}, "metadata", {"n": "1", "b": "true"}),
        ({"metadata": None}, "metadata", {}),
        ({"metadata": []}, "metadata", {}),
        ({"somethingNew": {"deep": [1]}}, "id", "orders-1:orders:5000"),
    ],
)
def test_every_form_that_servers_write_is_understood(changes: dict[str, object], field: str, value: object) -> None:
    assert getattr(read(**changes), field) == value


@pytest.mark.parametrize(
    "broken",
    [
        "text",
        None,
        7,
        [],
        {},
        FULL | {"instanceId": "", "hostName": "", "ipAddr": "10.0.0.7"},
        FULL | {"hostName": None, "ipAddr": None},
        FULL | {"port": {"$": "http", "@enabled": "true"}},
        FULL | {"port": {"$": 65536, "@enabled": "true"}},
        FULL | {"port": {"$": -1, "@enabled": "true"}},
        FULL | {"port": {"$": 80.5, "@enabled": "true"}},
        FULL | {"port": {"$": True, "@enabled": "true"}},
        FULL | {"port": {"@enabled": "true"}},
        FULL | {"port": [80]},
    ],
)
def test_an_instance_that_cannot_be_understood_costs_only_itself(broken: object) -> None:
    listing = decode_applications(document(broken, FULL, broken))
    assert [entry.instance for entry in listing.entries] == [READ]
    assert listing.skipped == 2


def test_the_zone_is_that_of_the_metadata_or_amazons() -> None:
    amazon = {"name": "Amazon", "metadata": {"availability-zone": "us-east-1c", "instance-id": "i-1"}}
    assert read(metadata={}, dataCenterInfo=amazon).zone == "us-east-1c"
    assert read(metadata={"zone": "b"}, dataCenterInfo=amazon).zone == "b"
    assert read(metadata={}).zone == ""


@pytest.mark.parametrize("broken", [b'"\xff\xfe"', b"1e999", b"[" * 20_000 + b"]" * 20_000, b"{]", b"{} {}"])
def test_an_instance_that_is_no_json_costs_at_most_its_document(broken: bytes) -> None:
    whole = document(FULL, "here").replace(b'"here"', b'{"hostName":%s}' % broken)
    try:
        listing = decode_applications(whole)
    except GarbledRegistry:
        return
    assert [entry.instance for entry in listing.entries] == [READ]
    assert listing.skipped == 1


def test_white_space_between_the_parts_changes_nothing() -> None:
    spread = json.dumps(json.loads(document(FULL, None)), indent=2).encode()
    assert decode_applications(spread) == decode_applications(document(FULL, None))


def test_decoding_gives_way_between_instances() -> None:
    pauses: list[None] = []
    decode_applications(document(FULL, FULL, "junk"), lambda: pauses.append(None))
    assert len(pauses) == 3


def test_single_objects_stand_for_lists_of_one() -> None:
    single = {"applications": {"application": {"name": "ORDERS", "instance": FULL}}}
    listing = decode_applications(json.dumps(single).encode())
    assert [entry.instance for entry in listing.entries] == [READ]
    assert listing.hashcode is None


@pytest.mark.parametrize(
    "applications",
    [{}, {"application": []}, {"application": None}, {"application": ["junk", 7]}, {"application": [{"name": "A"}]}],
)
def test_an_empty_registry_is_no_error(applications: dict[str, object]) -> None:
    assert decode_applications(json.dumps({"applications": applications}).encode()).entries == ()


@pytest.mark.parametrize(
    ("written", "action"),
    [
        ("ADDED", Action.ADDED),
        ("MODIFIED", Action.MODIFIED),
        ("DELETED", Action.DELETED),
        (None, Action.MODIFIED),
        ("SHRUNK", Action.MODIFIED),
    ],
)
def test_an_unknown_action_means_that_the_instance_is_there(written: str | None, action: Action) -> None:
    listing = decode_applications(document(FULL | {"actionType": written}))
    assert listing.entries[0].action is action


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<applications/>",
        b"[]",
        b"null",
        b"{}",
        b'{"applications":[]}',
        b'{"applications":null}',
        b'{"applications":{"application":[',
        b'{"applications":{"application":[]}} {}',
        b"[" * 100_000,
        b'{"applications":' * 100_000,
    ],
)
def test_a_body_that_is_no_registry_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(GarbledRegistry):
        decode_applications(body)


@pytest.mark.parametrize(
    ("instance", "stored"),
    [
        ({}, Stored(0, Status.UNKNOWN, {})),
        ({"lastDirtyTimestamp": 5, "overriddenstatus": "DOWN"}, Stored(5, Status.DOWN, {})),
        ({"lastDirtyTimestamp": "x", "overriddenStatus": "odd", "metadata": []}, Stored(0, Status.UNKNOWN, {})),
    ],
)
def test_a_stored_instance_is_read_as_tolerantly(instance: dict[str, object], stored: Stored) -> None:
    assert decode_stored(json.dumps({"instance": instance}).encode()) == stored


def test_what_is_no_stored_instance_is_refused() -> None:
    with pytest.raises(GarbledRegistry):
        decode_stored(b'{"instance": []}')

"""What servers accept and refuse as a registration in JSON, and what reads back."""

from json import dumps
from typing import Any

import pytest

from tests.contract.eureka import CANNOT_PARSE, PLAIN, Eureka


async def test_a_full_registration_reads_back_with_every_field_and_its_exact_json_type(eureka: Eureka) -> None:
    urls = {
        "homePageUrl": "http://h1:8080/",
        "statusPageUrl": "http://h1:8080/info",
        "healthCheckUrl": "http://h1:8080/health",
        "secureHealthCheckUrl": "https://h1/health",
        "vipAddress": "orders",
        "secureVipAddress": "orders-s",
        "asgName": "group",
    }
    assert await eureka.register(
        status="UP",
        port={"$": 8080, "@enabled": "true"},
        securePort={"$": 8443, "@enabled": "false"},
        leaseInfo={"renewalIntervalInSecs": 5, "durationInSecs": 15},
        metadata={"zone": "a", "my_key": "x$"},
        appGroupName="shop",
        lastDirtyTimestamp="1000",
        countryId=1,
        **urls,
    ) == (204, "")
    instance = await eureka.registered()
    lease = instance.pop("leaseInfo")
    updated = instance.pop("lastUpdatedTimestamp")
    assert instance == {
        "instanceId": eureka.id,
        "hostName": "h1",
        "app": eureka.app,
        "ipAddr": "10.0.0.1",
        "status": "UP",
        "overriddenStatus": "UNKNOWN",
        "port": {"$": 8080, "@enabled": "true"},
        "securePort": {"$": 8443, "@enabled": "false"},
        "countryId": 1,
        "dataCenterInfo": PLAIN,
        "metadata": {"zone": "a", "my_key": "x$"},
        "appGroupName": "SHOP",
        "isCoordinatingDiscoveryServer": "false",
        "lastDirtyTimestamp": "1000",
        "actionType": "ADDED",
        **urls,
    }
    assert updated.isdigit()
    assert {name: type(value) for name, value in lease.items()} == dict.fromkeys(
        (
            "renewalIntervalInSecs",
            "durationInSecs",
            "registrationTimestamp",
            "lastRenewalTimestamp",
            "evictionTimestamp",
            "serviceUpTimestamp",
        ),
        int,
    )
    assert (lease["renewalIntervalInSecs"], lease["durationInSecs"], lease["evictionTimestamp"]) == (5, 15, 0)
    assert lease["registrationTimestamp"] <= int(updated)


async def test_a_minimal_registration_gets_the_defaults(eureka: Eureka) -> None:
    assert (await eureka.register())[0] == 204
    instance = await eureka.registered()
    assert instance["status"] == "UP"
    assert instance["port"] == {"$": 7001, "@enabled": "true"}
    assert instance["securePort"] == {"$": 7002, "@enabled": "false"}
    assert instance["metadata"] == {"@class": "java.util.Collections$EmptyMap"}
    assert instance["leaseInfo"]["durationInSecs"] == 90
    assert instance["leaseInfo"]["renewalIntervalInSecs"] == 30
    assert "vipAddress" not in instance


@pytest.mark.parametrize(
    ("sent", "read_back"),
    [
        ({"port": {"$": "8080", "@enabled": True}}, {"port": {"$": 8080, "@enabled": "true"}}),
        ({"port": {"$": "abc"}}, {"port": {"$": 0, "@enabled": "true"}}),
        ({"port": None, "status": None, "metadata": None}, {"port": {"$": 7001, "@enabled": "true"}}),
        ({"port": {"$": 5, "@enabled": "TRUE"}}, {"port": {"$": 5, "@enabled": "false"}}),
        (
            {"metadata": {"n": 1, "b": True, "f": 1.5, "z": None}},
            {"metadata": {"n": "1", "b": "true", "f": "1.5", "z": "null"}},
        ),
        ({"metadata": {"@class": "java.util.HashMap", "a": "b"}}, {"metadata": {"a": "b"}}),
        ({"hostName": 5, "unknownScalar": 1}, {"hostName": "5"}),
        ({"status": "up"}, {"status": "UNKNOWN"}),
        ({"lastDirtyTimestamp": "x", "countryId": "3"}, {"lastDirtyTimestamp": "0", "countryId": 3}),
        ({"isCoordinatingDiscoveryServer": True}, {"isCoordinatingDiscoveryServer": "false"}),
        ({"overriddenstatus": "DOWN"}, {"status": "DOWN", "overriddenStatus": "DOWN"}),
        (
            {"dataCenterInfo": {"@class": "com.netflix.appinfo.MyDataCenterInfo", "name": "Netflix"}},
            {"dataCenterInfo": {**PLAIN, "name": "Netflix"}},
        ),
        ({"sid": "na"}, {"status": "UP"}),
        ({"unknownArray": [1, {"a": []}], "unknownObject": {"a": {}}}, {"status": "UP"}),
        ({"isCoordinatingDiscoveryServer": False, "lastUpdatedTimestamp": 5}, {"actionType": "ADDED"}),
        ({"leaseInfo": None, "vipAddress": None, "sid": None, "countryId": None}, {"countryId": 1}),
    ],
)
async def test_lenient_input_is_read_as_eureka_reads_it(
    eureka: Eureka, sent: dict[str, Any], read_back: dict[str, Any]
) -> None:
    assert (await eureka.register(**sent))[0] == 204
    instance = await eureka.registered()
    assert {name: instance[name] for name in read_back} == read_back
    assert "unknownScalar" not in instance
    assert "sid" not in instance


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ({"instanceId": ..., "hostName": ...}, "Missing instanceId"),
        ({"hostName": ..., "ipAddr": ..., "dataCenterInfo": ...}, "Missing hostname"),
        ({"ipAddr": ..., "dataCenterInfo": ...}, "Missing ip address"),
        ({"app": "", "dataCenterInfo": ...}, "Missing appName"),
        ({"app": "other", "dataCenterInfo": ...}, "Mismatched appName, expecting {app} but was OTHER"),
        ({"dataCenterInfo": ...}, "Missing dataCenterInfo"),
        ({"dataCenterInfo": {"@class": PLAIN["@class"]}}, "Missing dataCenterInfo Name"),
        ({"app": ...}, CANNOT_PARSE),
        ({"port": 8080}, CANNOT_PARSE),
        ({"port": {"$": 1, "x": 1}}, CANNOT_PARSE),
        ({"port": {"$": 2**40}}, CANNOT_PARSE),
        ({"metadata": "zone"}, CANNOT_PARSE),  # an empty list instead hangs the Java codec for ever
        ({"hostName": {}}, CANNOT_PARSE),
        ({"dataCenterInfo": {"name": "MyOwn"}}, CANNOT_PARSE),
        ({"dataCenterInfo": {**PLAIN, "name": "Cloud"}}, CANNOT_PARSE),
        ({"dataCenterInfo": {**PLAIN, "metadata": {}}}, CANNOT_PARSE),
    ],
)
async def test_a_refused_registration_says_eurekas_words(eureka: Eureka, sent: dict[str, Any], text: str) -> None:
    status, body = await eureka.register(**sent)
    assert (status, body) == (400, text.replace("{app}", eureka.app))
    assert await eureka.status_of("GET", eureka.path) == 404


async def test_a_body_without_the_instance_root_is_refused(eureka: Eureka) -> None:
    whole = eureka.instance()
    bodies: list[Any] = [whole, {"instance": [whole]}, {"instance": whole, "x": 1}, []]
    for body in bodies:
        assert await eureka.call("POST", f"apps/{eureka.app}", json=body) == (400, CANNOT_PARSE.encode())


async def test_an_unknown_content_type_is_415(eureka: Eureka) -> None:
    assert (await eureka.call("POST", f"apps/{eureka.app}", data=b"x", Content_Type="text/plain"))[0] == 415


async def test_json_is_utf_8_whatever_its_type_says(eureka: Eureka) -> None:
    text = dumps({"instance": eureka.instance(sid="é")}, ensure_ascii=False)
    for charset, body, status in (
        ("ISO-8859-1", text.encode("latin-1"), 400),
        ("ISO-8859-1", text.encode(), 204),
        ("UTF-16", text.encode("utf-16"), 415),
    ):
        content_type = f"application/json; charset={charset}"
        answer = await eureka.ask("POST", f"apps/{eureka.app}", data=body, Content_Type=content_type)
        assert answer.status == status, charset
    assert (await eureka.registered())["sid"] == "é"


async def test_the_app_name_is_case_insensitive_and_the_id_is_not(eureka: Eureka) -> None:
    status, _ = await eureka.call(
        "POST",
        f"apps/{eureka.app.lower()}",
        json={"instance": eureka.instance(app=eureka.app.lower(), instanceId="h:i1:80")},
    )
    assert status == 204
    assert await eureka.status_of("GET", f"apps/{eureka.app.lower()}/h:i1:80") == 200
    assert await eureka.status_of("GET", f"apps/{eureka.app}/h%3Ai1%3A80") == 200
    assert await eureka.status_of("GET", f"apps/{eureka.app}/H:i1:80") == 404


async def test_an_instance_without_an_id_is_known_by_its_host(eureka: Eureka) -> None:
    await eureka.register(instanceId=...)
    assert "instanceId" not in (await eureka.read(f"apps/{eureka.app}/h1"))["instance"]


async def test_an_amazon_instance_without_an_id_is_known_by_its_machine(eureka: Eureka) -> None:
    machine = {"instance-id": "i-12ab", "availability-zone": "us-east-1a"}
    amazon = {"@class": "com.netflix.appinfo.AmazonInfo", "name": "Amazon", "metadata": machine}
    await eureka.register(instanceId=..., dataCenterInfo=amazon)
    assert (await eureka.read(f"apps/{eureka.app}/i-12ab"))["instance"]["dataCenterInfo"] == amazon

"""The same raw HTTP against the embedded server and a real Spring Cloud Eureka server: both must answer alike."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree

import aiohttp
import pytest

from registry.server import serve

JSON = {"Accept": "application/json"}
PLAIN = {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"}


class Eureka:
    """One application name of one server, so that tests on a shared server do not see each other."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self.app = f"APP-{uuid.uuid4().hex[:8].upper()}"
        self.id = f"{self.app}:i1"  # overrides are kept by id alone, whatever the application
        self.path = f"apps/{self.app}/{self.id}"

    async def call(self, method: str, path: str, *, body: Any = None, **headers: str) -> tuple[int, bytes]:
        async with self._session.request(method, self._url + path, json=body, headers={**JSON, **headers}) as answer:
            return answer.status, await answer.read()

    async def status_of(self, method: str, path: str) -> int:
        return (await self.call(method, path))[0]

    async def read(self, path: str) -> Any:
        async with self._session.get(self._url + path, headers=JSON) as answer:
            assert answer.status == 200, (path, answer.status)
            assert answer.content_type == "application/json"
            return await answer.json()

    def instance(self, **fields: Any) -> dict[str, Any]:
        plain = {"instanceId": self.id, "hostName": "h1", "app": self.app, "ipAddr": "10.0.0.1"}
        instance = {**plain, "dataCenterInfo": PLAIN, **fields}
        return {name: value for name, value in instance.items() if value is not ...}

    async def register(self, **fields: Any) -> tuple[int, str]:
        """`...` as a value leaves that field out."""
        status, body = await self.call("POST", f"apps/{self.app}", body={"instance": self.instance(**fields)})
        return status, body.decode()

    async def registered(self) -> dict[str, Any]:
        instance: dict[str, Any] = (await self.read(self.path))["instance"]
        return instance

    async def statuses(self) -> tuple[str, str]:
        instance = await self.registered()
        return instance["status"], instance["overriddenStatus"]

    async def in_list(self, path: str) -> list[dict[str, Any]]:
        """This application's instances in a list of applications."""
        applications = (await self.read(path))["applications"]["application"]
        return [it for app in applications if app["name"] == self.app for it in app["instance"]]


@pytest.fixture(params=["embedded", pytest.param("spring", marks=pytest.mark.eureka)])
async def eureka(request: pytest.FixtureRequest) -> AsyncIterator[Eureka]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        if request.param == "spring":
            yield Eureka(session, request.getfixturevalue("spring_eureka").url)
            return
        server = await serve("127.0.0.1", 0)
        yield Eureka(session, server.url)
        await server.close()


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


CANNOT_PARSE = '{"error": "cannot parse request body"}'


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
        assert await eureka.call("POST", f"apps/{eureka.app}", body=body) == (400, CANNOT_PARSE.encode())


async def test_an_unknown_content_type_is_415(eureka: Eureka) -> None:
    assert (await eureka.call("POST", f"apps/{eureka.app}", **{"Content-Type": "text/plain"}))[0] == 415


async def test_the_app_name_is_case_insensitive_and_the_id_is_not(eureka: Eureka) -> None:
    status, _ = await eureka.call(
        "POST",
        f"apps/{eureka.app.lower()}",
        body={"instance": eureka.instance(app=eureka.app.lower(), instanceId="h:i1:80")},
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


async def test_a_heartbeat_answers_200_to_who_is_registered_and_404_to_others(eureka: Eureka) -> None:
    assert await eureka.status_of("PUT", eureka.path) == 404
    await eureka.register()
    assert await eureka.call("PUT", f"{eureka.path}?status=UP") == (200, b"")


@pytest.mark.parametrize(("dirty", "status"), [("999", 200), ("1000", 200), ("1001", 404), ("x", 500)])
async def test_a_heartbeat_with_a_newer_dirty_timestamp_asks_for_a_registration(
    eureka: Eureka, dirty: str, status: int
) -> None:
    await eureka.register(lastDirtyTimestamp=1000)
    assert await eureka.status_of("PUT", f"{eureka.path}?lastDirtyTimestamp={dirty}") == status
    assert (await eureka.registered())["lastDirtyTimestamp"] == "1000"


async def test_a_heartbeat_does_not_change_the_status(eureka: Eureka) -> None:
    await eureka.register(status="UP", lastDirtyTimestamp=1000)
    assert await eureka.status_of("PUT", f"{eureka.path}?status=DOWN&lastDirtyTimestamp=1000") == 200
    assert (await eureka.registered())["status"] == "UP"


async def test_an_older_registration_keeps_the_newer_description(eureka: Eureka) -> None:
    await eureka.register(status="UP", lastDirtyTimestamp=1000)
    assert (await eureka.register(status="DOWN", hostName="old", lastDirtyTimestamp=999))[0] == 204
    instance = await eureka.registered()
    assert (instance["hostName"], instance["status"], instance["lastDirtyTimestamp"]) == ("h1", "UP", "1000")
    await eureka.register(status="DOWN", hostName="same-age", lastDirtyTimestamp=1000)
    assert (await eureka.registered())["hostName"] == "same-age"


async def test_up_down_up_by_registering_again(eureka: Eureka) -> None:
    for status in ("STARTING", "UP", "DOWN", "UP"):
        await eureka.register(status=status)
        assert await eureka.statuses() == (status, "UNKNOWN")


async def test_an_instance_cannot_leave_up_for_out_of_service_or_back_by_itself(eureka: Eureka) -> None:
    seen = []
    for status in ("UP", "OUT_OF_SERVICE", "DOWN", "OUT_OF_SERVICE", "UP", "STARTING", "UP"):
        await eureka.register(status=status)
        seen.append((await eureka.registered())["status"])
    assert seen == ["UP", "UP", "DOWN", "OUT_OF_SERVICE", "OUT_OF_SERVICE", "STARTING", "UP"]


async def test_an_override_holds_over_heartbeats_and_registrations_until_it_is_dropped(eureka: Eureka) -> None:
    override = f"{eureka.path}/status"
    assert await eureka.status_of("PUT", f"{override}?value=OUT_OF_SERVICE") == 404
    assert await eureka.status_of("DELETE", override) == 404
    await eureka.register(status="UP", lastDirtyTimestamp=1000)
    assert await eureka.call("PUT", f"{override}?value=OUT_OF_SERVICE&lastDirtyTimestamp=1500") == (200, b"")
    instance = await eureka.registered()
    assert (instance["actionType"], instance["lastDirtyTimestamp"]) == ("MODIFIED", "1500")
    assert await eureka.status_of("PUT", eureka.path) == 200
    assert await eureka.statuses() == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")
    await eureka.register(status="DOWN")
    assert await eureka.statuses() == ("DOWN", "OUT_OF_SERVICE")
    await eureka.register(status="UP")
    assert await eureka.statuses() == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")
    assert await eureka.call("DELETE", override) == (200, b"")
    assert await eureka.statuses() == ("UNKNOWN", "UNKNOWN")
    assert await eureka.status_of("PUT", eureka.path) == 404
    await eureka.register(status="UP")
    assert await eureka.statuses() == ("UP", "UNKNOWN")


async def test_dropping_an_override_with_a_value_sets_it_at_once(eureka: Eureka) -> None:
    await eureka.register(status="UP")
    await eureka.call("PUT", f"{eureka.path}/status?value=DOWN")
    assert await eureka.status_of("DELETE", f"{eureka.path}/status?value=UP") == 200
    assert await eureka.statuses() == ("UP", "UNKNOWN")
    assert await eureka.status_of("PUT", eureka.path) == 200


@pytest.mark.parametrize("query", ["", "?value=up", "?value=SICK"])
async def test_an_override_needs_one_of_the_five_statuses(eureka: Eureka, query: str) -> None:
    await eureka.register()
    assert await eureka.status_of("PUT", f"{eureka.path}/status{query}") == 500
    assert await eureka.statuses() == ("UP", "UNKNOWN")


async def test_metadata_is_added_in_place(eureka: Eureka) -> None:
    assert await eureka.status_of("PUT", f"{eureka.path}/metadata?a=1") == 404
    await eureka.register(metadata={"zone": "a", "b": "0"})
    assert await eureka.call("PUT", f"{eureka.path}/metadata?b=1&b=2&empty=") == (200, b"")
    instance = await eureka.registered()
    assert instance["metadata"] == {"zone": "a", "b": "1", "empty": ""}
    assert instance["actionType"] == "ADDED"


async def test_a_cancelled_instance_is_gone_at_once_everywhere(eureka: Eureka) -> None:
    assert await eureka.status_of("DELETE", eureka.path) == 404
    await eureka.register(vipAddress="v1")
    assert await eureka.call("DELETE", eureka.path) == (200, b"")
    assert await eureka.status_of("PUT", eureka.path) == 404
    for path in (eureka.path, f"apps/{eureka.app}", "instances/" + eureka.app):
        assert await eureka.status_of("GET", path) == 404
    assert await eureka.in_list("apps") == []
    assert await eureka.in_list("vips/v1") == []


async def test_cancel_also_drops_the_override(eureka: Eureka) -> None:
    await eureka.register()
    await eureka.call("PUT", f"{eureka.path}/status?value=OUT_OF_SERVICE")
    await eureka.call("DELETE", eureka.path)
    await eureka.register()
    assert await eureka.statuses() == ("UP", "UNKNOWN")


async def test_the_delta_shows_the_final_state_of_every_changed_instance(eureka: Eureka) -> None:
    kept, overridden, cancelled = (f"{eureka.app}:{n}" for n in range(3))
    for instance_id in (kept, overridden, cancelled):
        await eureka.register(instanceId=instance_id, status="UP")
    await eureka.call("PUT", f"apps/{eureka.app}/{overridden}/status?value=DOWN")
    await eureka.call("DELETE", f"apps/{eureka.app}/{cancelled}")
    delta = {it["instanceId"]: it for it in await eureka.in_list("apps/delta")}
    assert {key: (it["actionType"], it["status"]) for key, it in delta.items()} == {
        kept: ("ADDED", "UP"),
        overridden: ("MODIFIED", "DOWN"),
        cancelled: ("DELETED", "UP"),
    }
    assert delta[cancelled]["leaseInfo"]["evictionTimestamp"] > 0


async def test_a_heartbeat_does_not_enter_the_delta(eureka: Eureka) -> None:
    await eureka.register()
    before = await eureka.in_list("apps/delta")
    await eureka.call("PUT", eureka.path)
    after = await eureka.in_list("apps/delta")
    assert [it["lastUpdatedTimestamp"] for it in before] == [it["lastUpdatedTimestamp"] for it in after]


async def test_the_hashcode_counts_every_status_and_the_delta_has_that_of_the_whole(eureka: Eureka) -> None:
    vip = eureka.app.lower()
    for number, status in enumerate(("UP", "DOWN", "UP", "STARTING")):
        await eureka.register(instanceId=f"{eureka.app}:{number}", status=status, vipAddress=vip)
    await eureka.register()
    await eureka.call("DELETE", eureka.path)  # in the delta, but not in its hashcode
    of_vip = (await eureka.read(f"vips/{vip}"))["applications"]
    assert of_vip["apps__hashcode"] == "DOWN_1_STARTING_1_UP_2_"
    assert of_vip["versions__delta"] == "-1"
    full = (await eureka.read("apps"))["applications"]
    delta = (await eureka.read("apps/delta"))["applications"]
    assert full["versions__delta"] == "1"
    assert isinstance(delta["versions__delta"], str)
    assert full["apps__hashcode"] == delta["apps__hashcode"]


async def test_a_vip_matches_one_element_exactly(eureka: Eureka) -> None:
    vip = eureka.app.lower()
    await eureka.register(vipAddress=f"{vip}-a,{vip}-B", secureVipAddress=f"{vip}-s")
    for path in (f"vips/{vip}-a", f"vips/{vip}-B", f"svips/{vip}-s"):
        assert len(await eureka.in_list(path)) == 1, path
    for path in (f"vips/{vip}-b", f"vips/{vip}-a,{vip}-B", f"vips/{vip}-s", f"svips/{vip}-a"):
        empty = {"versions__delta": "-1", "apps__hashcode": "", "application": []}
        assert (await eureka.read(path))["applications"] == empty, path


async def test_an_instance_is_found_by_its_id_alone_and_by_its_app(eureka: Eureka) -> None:
    own_id = f"{eureka.app}:1"
    await eureka.register(instanceId=own_id)
    assert (await eureka.read(f"instances/{own_id}"))["instance"]["app"] == eureka.app
    application = (await eureka.read(f"apps/{eureka.app.lower()}"))["application"]
    assert application["name"] == eureka.app
    assert [it["instanceId"] for it in application["instance"]] == [own_id]


async def test_the_version_segment_is_optional_and_a_trailing_slash_is_taken(eureka: Eureka) -> None:
    await eureka.register()
    for path in ("apps", "apps/", "v2/apps", "v2/apps/", "apps/delta", "apps/delta/", "v2/apps/delta"):
        assert len(await eureka.in_list(path)) == 1, path


@pytest.mark.parametrize("accept", ["*/*", "application/xml", "application/json;q=0.5, application/xml"])
async def test_without_json_in_accept_the_answer_is_xml(eureka: Eureka, accept: str) -> None:
    await eureka.register(metadata={"my_key": "x&y", "$d": "1", "sp ace": "é<", "1n": "v"})
    status, body = await eureka.call("GET", eureka.path, Accept=accept)
    instance = ElementTree.fromstring(body)  # noqa: S314 - from servers this test started
    assert status == 200
    assert instance.tag == "instance"
    port = instance.find("port")
    assert port is not None
    assert (port.text, port.attrib) == ("7001", {"enabled": "true"})
    assert instance.findtext("overriddenstatus") == "UNKNOWN"
    metadata = instance.find("metadata")
    assert metadata is not None
    assert {it.tag: it.text for it in metadata} == {
        "my__key": "x&y",
        "_-d": "1",
        "sp_.0020ace": "é<",
        "_.0031n": "v",
    }


async def test_the_xml_form_has_the_same_fields_as_the_json_form(eureka: Eureka) -> None:
    await eureka.register(vipAddress="v", appGroupName="g", sid="s")
    as_json = await eureka.registered()
    _, body = await eureka.call("GET", eureka.path, Accept="application/xml")
    as_xml = ElementTree.fromstring(body)  # noqa: S314 - from servers this test started
    assert {it.tag for it in as_xml} == {name.replace("overriddenS", "overriddens") for name in as_json}
    metadata = as_xml.find("metadata")
    assert metadata is not None
    assert metadata.attrib == {"class": "java.util.Collections$EmptyMap"}


async def test_a_wrong_method_is_405(eureka: Eureka) -> None:
    assert await eureka.status_of("POST", "apps") == 405
    assert await eureka.status_of("PATCH", f"apps/{eureka.app}") == 405


async def test_the_lists_are_gzipped_for_who_accepts_it(eureka: Eureka) -> None:
    await eureka.register()
    for path in ("apps", "apps/delta"):
        assert len(await eureka.in_list(path)) == 1
        status, body = await eureka.call("GET", path, **{"Accept-Encoding": "gzip"})
        assert (status, body[:1]) == (200, b"{")


async def test_an_expired_instance_disappears(eureka: Eureka) -> None:
    await eureka.register(leaseInfo={"durationInSecs": 1, "renewalIntervalInSecs": 1}, lastDirtyTimestamp=1)
    async with asyncio.timeout(10):
        while await eureka.in_list("apps"):  # noqa: ASYNC110 - another process's clock has to pass
            await asyncio.sleep(0.1)
    assert await eureka.status_of("PUT", eureka.path) == 404
    assert [it["actionType"] for it in await eureka.in_list("apps/delta")] == ["DELETED"]

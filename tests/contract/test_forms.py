"""Methods, versions, forms of answers and the errors of the protocol itself."""

import gzip
from json import dumps

import pytest

from tests.contract.eureka import Eureka, ServerName


@pytest.mark.parametrize("path", ["apps", "apps/", "apps/delta", "apps/delta/"])
async def test_the_version_segment_is_v2_and_optional_but_for_the_war(eureka: Eureka, path: str) -> None:
    await eureka.register()
    assert await eureka.status_of("GET", f"{eureka.root}v2/{path}") == 200
    # Spring rewrites `/eureka/x` to `/eureka/v2/x`; Netflix's WAR has no such filter.
    without: dict[ServerName, int] = {"embedded": 200, "spring": 200, "netflix": 404}
    assert await eureka.status_of("GET", f"{eureka.root}{path}") == eureka.pick(without)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", "xml"),
        ("", "xml"),
        ("application/*", "xml"),
        ("application/xml", "xml"),
        ("application/json", "json"),
        ("application/json;q=0.5, application/xml", "xml"),
        ("application/xml;q=0.5, application/json", "json"),
        ("application/json, application/xml", "json"),
        ("*/*, application/json;q=0.1", "xml"),
        ("text/html, application/json;q=0.1", "json"),
    ],
)
async def test_an_instance_comes_in_the_form_that_is_liked_best(eureka: Eureka, accept: str, form: str) -> None:
    await eureka.register()
    answer = await eureka.ask("GET", eureka.path, Accept=accept)
    assert answer.status == 200
    assert answer.headers["Content-Type"].partition(";")[0] == f"application/{form}"
    assert answer.body.startswith(b"{" if form == "json" else b"<instance>")


@pytest.mark.parametrize("accept", ["application/json;q=0.5, application/xml", "*/*, application/json;q=0.1"])
async def test_any_mention_of_json_makes_a_list_json(eureka: Eureka, accept: str) -> None:
    # Real servers then label the JSON as XML.
    assert (await eureka.ask("GET", "vips/nothing", Accept=accept)).body.startswith(b"{")


async def test_a_weight_that_is_no_number_is_400(eureka: Eureka) -> None:
    assert await eureka.status_of("GET", "apps", Accept="application/json;q=heavy") == 400


@pytest.mark.parametrize("accept", ["text/html", "text/plain", "json"])
async def test_who_takes_neither_form_gets_406_and_nothing_happens(eureka: Eureka, accept: str) -> None:
    body = {"instance": eureka.instance()}
    assert await eureka.status_of("POST", f"apps/{eureka.app}", json=body, Accept=accept) == 406
    assert await eureka.status_of("GET", eureka.path) == 404
    for path in ("apps", eureka.path, "vips/x", "status"):
        assert await eureka.status_of("GET", path, Accept=accept) == 406


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "apps"),
        ("PUT", "apps/A"),
        ("DELETE", "apps/A"),
        ("PATCH", "apps/A/i"),
        ("POST", "apps/A/i"),
        ("GET", "apps/A/i/status"),
        ("GET", "apps/A/i/metadata"),
        ("POST", "vips/x"),
        ("PUT", "instances/i"),
        ("POST", "status"),
        ("GET", "peerreplication/batch/"),
    ],
)
async def test_a_wrong_method_is_405(eureka: Eureka, method: str, path: str) -> None:
    assert await eureka.status_of(method, path) == 405


async def test_an_unknown_path_is_404(eureka: Eureka) -> None:
    for path in ("nothing", "apps/A/i/nothing", "apps/delta/x", "asg/x", "status/x"):
        assert await eureka.status_of("GET", path) == 404, path
    # Jersey 1, in the WAR, takes the empty rest of the path for a resource that has no method.
    bare: dict[ServerName, int] = {"embedded": 404, "spring": 404, "netflix": 405}
    for path in ("vips", "svips", "instances"):
        assert await eureka.status_of("GET", path) == eureka.pick(bare), path


async def test_head_is_get_without_the_body(eureka: Eureka) -> None:
    await eureka.register()
    for path, status in (("apps", 200), (f"apps/{eureka.app}", 200), (eureka.path, 200), ("apps/NOBODY", 404)):
        assert await eureka.call("HEAD", path) == (status, b""), path


async def test_errors_have_an_empty_body(eureka: Eureka) -> None:
    # Spring Boot's error page answers in JSON. Java clients once took it for an instance and never registered again.
    are_empty: dict[ServerName, bool] = {"embedded": True, "spring": False, "netflix": True}
    for method, path, status in (("PUT", eureka.path, 404), ("GET", "apps/NOBODY", 404)):
        answer = await eureka.ask(method, path)
        assert (answer.status, answer.body == b"") == (status, eureka.pick(are_empty))


@pytest.mark.parametrize("path", ["apps", "apps/delta"])
async def test_the_lists_of_everything_are_gzipped_for_who_accepts_it(eureka: Eureka, path: str) -> None:
    await eureka.register()
    answer = await eureka.ask("GET", path, Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.body.startswith(b"{")  # as aiohttp unpacked it
    # The WAR's GzipEncodingEnforcingFilter insists on gzip.
    without: dict[ServerName, int] = {"embedded": 200, "spring": 200, "netflix": 406}
    plain = await eureka.ask("GET", path, Accept_Encoding="identity")
    assert plain.status == eureka.pick(without)
    assert "Content-Encoding" not in plain.headers


async def test_a_single_application_is_gzipped_by_netflix_only(eureka: Eureka) -> None:
    await eureka.register()
    # The WAR's GzipFilter packs whatever is below `apps`.
    packed: dict[ServerName, str | None] = {"embedded": None, "spring": None, "netflix": "gzip"}
    answer = await eureka.ask("GET", f"apps/{eureka.app}", Accept_Encoding="gzip")
    assert answer.headers.get("Content-Encoding") == eureka.pick(packed)


async def test_a_gzipped_body_is_read_by_netflix_only(eureka: Eureka) -> None:
    body = gzip.compress(dumps({"instance": eureka.instance()}).encode())
    path = f"apps/{eureka.app}"
    answer = await eureka.ask("POST", path, data=body, Content_Type="application/json", Content_Encoding="gzip")
    # The WAR has a filter that unpacks requests, for peers that compress their batches.
    unpacked: dict[ServerName, int] = {"embedded": 204, "spring": 400, "netflix": 204}
    assert answer.status == eureka.pick(unpacked)


async def test_remote_regions_that_nobody_knows_change_nothing(eureka: Eureka) -> None:
    await eureka.register()
    for path in ("apps", "apps/delta"):
        assert len(await eureka.in_list(f"{path}?regions=us-east-1,EU")) == 1


async def test_the_status_page_tells_of_the_server_itself(eureka: Eureka) -> None:
    xml = (await eureka.ask("GET", "status", Accept="application/xml")).xml
    assert xml.tag == "com.netflix.eureka.util.StatusInfo"
    assert xml.findtext("generalStats/num-of-cpus", "").isdigit()
    replicas = ["available-replicas", "registered-replicas", "unavailable-replicas"]
    assert sorted(it.tag for it in xml.iterfind("applicationStats/*")) == replicas
    assert xml.findtext("instanceInfo/status") == "UP"
    # As JSON, Spring's server fails to write it, and Netflix's forgets the last brace.
    as_json: dict[ServerName, tuple[int, bytes]] = {
        "embedded": (200, b'{"generalStats":{'),
        "spring": (500, b'{"timestamp":'),
        "netflix": (200, b'{"generalStats":{'),
    }
    status, start = eureka.pick(as_json)
    answer = await eureka.ask("GET", "status")
    assert answer.status == status
    assert answer.body.startswith(start)


async def test_the_overrides_in_force_are_listed_below_the_root(eureka: Eureka) -> None:
    await eureka.register()
    await eureka.call("PUT", f"{eureka.path}/status?value=OUT_OF_SERVICE")
    # Spring's filter makes `/eureka/v2/serverinfo` of it, which is nowhere.
    there: dict[ServerName, int] = {"embedded": 200, "spring": 404, "netflix": 200}
    answer = await eureka.ask("GET", f"{eureka.root}serverinfo/statusoverrides")
    assert answer.status == eureka.pick(there)
    if answer.status == 200:
        assert f'"{eureka.id}":"OUT_OF_SERVICE"'.encode() in answer.body


async def test_scaling_groups_are_for_aws_only(eureka: Eureka) -> None:
    assert await eureka.status_of("PUT", "asg/group/status?value=ENABLED") == 400

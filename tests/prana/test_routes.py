"""The first route that takes a request gets it; paths are compared byte for byte, prefixes by whole segments."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from prana.config.settings import RoutePolicy
from prana.routes import MAX_PATTERN_PATH_BYTES, Routes


def takes(path: bytes, method: bytes = b"GET", **match: object) -> bool:
    return Routes([(RoutePolicy(**match), "it")]).first(method, path) == "it"  # type: ignore[arg-type]


@pytest.mark.parametrize("path", [b"/v1/a", b"/v1/a/", b"/v1/a/b", b"/v1/a//", b"/v1/a?x", b"/v1/a/b?x=/y", b"/v1/a?"])
def test_a_prefix_takes_what_is_at_or_below_it(path: bytes) -> None:
    assert takes(path, prefix="/v1/a")
    assert takes(path, prefix="/v1/a/")


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/ab",
        b"/v1",
        b"/v1/",
        b"/",
        b"/v1/A",
        b"/v1/%61",
        b"/v1//a",
        b"//v1/a",
        b"/x/v1/a",
        b"/v1/a;b",
        b"/v1?/v1/a",
    ],
)
def test_and_nothing_that_only_looks_like_it(path: bytes) -> None:
    assert not takes(path, prefix="/v1/a")
    assert not takes(path, prefix="/v1/a/")


def test_escapes_in_a_prefix_stand_for_themselves() -> None:
    assert takes(b"/a%2Fb/c", prefix="/a%2Fb")
    assert not takes(b"/a/b/c", prefix="/a%2Fb")
    assert not takes(b"/a%2fb/c", prefix="/a%2Fb")


SEGMENT = st.text("abAB.%2-_~", max_size=3)
PATH = st.lists(SEGMENT, max_size=4).map(lambda segments: "/" + "/".join(segments))


@given(PATH, PATH, st.sampled_from(["", "?", "?a=/b", "?/"]))
@example("/", "/", "")
@example("//", "/", "")
@example("/a/", "/a", "")
def test_a_prefix_takes_the_paths_whose_segments_begin_with_its_own(path: str, prefix: str, query: str) -> None:
    wanted = prefix.removesuffix("/").split("/")
    assert takes((path + query).encode(), prefix=prefix) is (path.split("/")[: len(wanted)] == wanted)


@given(PATH, PATH, PATH)
def test_a_longer_prefix_takes_nothing_that_a_shorter_one_does_not(path: str, prefix: str, more: str) -> None:
    assume(takes(path.encode(), prefix=prefix.removesuffix("/") + more))
    assert takes(path.encode(), prefix=prefix)


def test_a_pattern_takes_the_path_as_a_whole_without_its_query() -> None:
    pattern = "/users/[0-9]+"
    assert [takes(path, pattern=pattern) for path in (b"/users/17", b"/users/17?a", b"/users/1?x/2")] == [True] * 3
    for path in (b"/users/17/", b"/users/a", b"/x/users/17", b"/users/17a", b"/users/%31", b"/users?/users/1"):
        assert not takes(path, pattern=pattern)


def test_a_pattern_takes_no_path_that_is_too_long() -> None:
    longest = b"/" + b"a" * (MAX_PATTERN_PATH_BYTES - 1)
    assert takes(longest + b"?" + b"q" * 5000, pattern="/a+")
    assert not takes(longest + b"a", pattern="/a+")
    assert takes(longest + b"a", prefix="/")


def test_classes_in_a_pattern_are_those_of_ascii() -> None:
    assert not takes("/ü".encode("latin-1"), pattern=r"/\w")
    assert takes("/ü".encode("latin-1"), pattern=r"/\W")


def test_methods_limit_what_a_route_takes() -> None:
    get = {"methods": frozenset({"GET", "HEAD"})}
    assert takes(b"/x", b"GET", **get)
    assert takes(b"/x", b"HEAD", **get)
    assert not takes(b"/x", b"POST", **get)
    assert not takes(b"/x", b"get", **get)
    assert not takes(b"/y", b"GET", prefix="/x", **get)
    assert not takes(b"/x", b"POST", prefix="/x", **get)
    assert not takes(b"/x", b"POST", pattern="/x", **get)
    assert takes(b"/x", b"GET", pattern="/x", **get)


def test_the_first_that_takes_it_wins() -> None:
    routes = Routes(
        [
            (RoutePolicy(prefix="/a/b"), "deep"),
            (RoutePolicy(prefix="/a", methods=frozenset({"POST"})), "post"),
            (RoutePolicy(pattern="/a/.*"), "pattern"),
            (RoutePolicy(prefix="/a"), "wide"),
        ]
    )
    asked = [
        (b"GET", b"/a/b"),
        (b"POST", b"/a/b"),
        (b"POST", b"/a/c"),
        (b"GET", b"/a/c"),
        (b"GET", b"/a"),
        (b"GET", b"/"),
    ]
    assert [routes.first(*each) for each in asked] == ["deep", "deep", "post", "pattern", "wide", None]
    assert routes.targets == ["deep", "post", "pattern", "wide"]


def test_what_is_no_path_belongs_to_no_route() -> None:
    assert not takes(b"*", b"OPTIONS", prefix="/")
    assert not takes(b"*", b"OPTIONS", methods=frozenset({"OPTIONS"}))


LABELS = [
    (RoutePolicy(name="slow", prefix="/x"), "slow"),
    (RoutePolicy(prefix="/v1/Orders/"), "v1-orders"),
    (RoutePolicy(prefix="/"), "all"),
    (RoutePolicy(methods=frozenset({"POST", "GET"})), "get-post"),
    (RoutePolicy(methods=frozenset({"POST"}), prefix="/v1/orders"), "post-v1-orders"),
    (RoutePolicy(pattern=r"/users/\d+/orders"), "users-d-orders"),
    (RoutePolicy(prefix="/.well-known/x"), "well-known-x"),
    (RoutePolicy(prefix="/a%2Fb"), "a-2fb"),
    (RoutePolicy(prefix="/" + "a" * 300), "a" * 99),
]


@pytest.mark.parametrize(("route", "label"), LABELS)
def test_a_route_without_a_name_is_called_after_what_it_takes(route: RoutePolicy, label: str) -> None:
    assert route.label == label

"""Patterns that take too long on some path are refused, and those that people write are not."""

import pytest

from prana.config.redos import trap

FINE = [
    "/v1/.*",
    r"/users/\d+/orders/[^/]+/items/\w+",
    "(?:/[^/]+)*",
    "(?:[^/]+/)*",
    "/(?:[^/]+/)*x",
    "(?i)/(users|orders)/.*",
    "/a/.*|/b/.*|/c/.*",
    "/a(?:/b)?(?:/c)?(?:/d)?(?:/e)?",
    "/(?:[0-9]{4}-)*x",
    "/[a-z]+(-[a-z0-9]+)*/x",
    "/(?:v1|v2)/(?:users|groups)/[0-9a-f-]{36}(?:/.*)?",
    r"/.*\.(png|jpg|css)",
    r"/\S+/[^\s/]+/[^a-y/]+/\D*",
    "/(?:/[^/]++)*+",
    "/(a+)*+b",
    "/(?>a+)x/.*",
    "(?!/internal)/.*",
    "/a{2,4}b",
    "/" + "[ab]" * 5000,
    r"/(?:[^/]+/)*[^/]+\.pdf",
    r"/users/(?:\d+|me)/posts(?:/\d+)?(?:/comments)?",
    "/(?:a(?:/b)*)+",
    "^/a/[^/]+$",
    r"/.*(?<!\.json)",
    "/.*/b/.*/c",
    "/.*/b/.*/c.*",
    "/(.*a|.*b|.*c)/.*",
    "/(?:.*a){2}",
]

EXPONENTIAL = [
    "/(a+)+b",
    "/(a|aa)+",
    "/(?:a|ab|b)*",
    "/(?:a|.b)*",
    r"/(\w+\s?)*",
    r"/([a-z]+\.?)*x",
    "/(?:.*,)*x",
    "/(.*?,){11}P",
    "/(a?){30}a{30}",
    "/((a?){5}){5}a{25}",
    "/(?>(a+)+b)",
    "/(?:(a+)+b)*+",
    "/(?=(a+)+b)x",
    "/x(/[^a]+)*",
    "/(?i:(a[b-zA]+)*)",
    r"/(/[^\w]+)*x",
    "/(/?[^/]+)*x",
]


@pytest.mark.parametrize("pattern", FINE)
def test_a_pattern_with_one_way_to_match(pattern: str) -> None:
    assert trap(pattern) is None


@pytest.mark.parametrize("pattern", EXPONENTIAL)
def test_a_repetition_of_what_divides_in_many_ways(pattern: str) -> None:
    problem = trap(pattern)
    assert problem is not None
    assert problem.startswith("repeats what can be divided in many ways")


@pytest.mark.parametrize(
    "pattern",
    [
        "/.*/.*/.*/details",
        "/(.*)(.*)(.*)x",
        "/(a+)(a+)(?:b|a+)",
        r"/.*a.*b[^/]*",
        "/(?=.*a)(?=.*b).*c",
        "/orders/[^/]*[0-9]+[^/]*/x",
        "/[^b]*b?/[^c]*c?/[^d]*d?/x",
        "/(?:.*a){2}(?:.*b)",
        r"/\D*[ab]+?\w*?/x",
        "/.*[ab]*[^a]++x",
        r"/\D*/\W+/\S*/",
    ],
)
def test_several_repetitions_that_give_way_to_each_other(pattern: str) -> None:
    problem = trap(pattern)
    assert problem is not None
    assert problem.startswith("has too many repetitions that can take what follows them")

"""The response cache by a manual clock and a counted renderer."""

import gzip

import pytest

from registry.server.cache import FRESH_FOR_MS, MAX_KEYS, Payload, ResponseCache
from tests.registry_server.clock import Clock


class Registry:
    """Renders `key@revision`; nothing for an empty key."""

    def __init__(self) -> None:
        self.revision = 0
        self.rendered: list[str] = []

    def render(self, key: str) -> bytes | None:
        self.rendered.append(key)
        return f"{key}@{self.revision}".encode() if key else None


@pytest.fixture
def registry() -> Registry:
    return Registry()


def cache_of(registry: Registry, clock: Clock, *, lagging: bool = False) -> ResponseCache[str]:
    return ResponseCache(registry.render, lambda: registry.revision, clock, lagging=lagging)


def plain(payload: Payload | None) -> bytes | None:
    return None if payload is None else payload.plain


def test_an_answer_is_rendered_once_per_change(registry: Registry, clock: Clock) -> None:
    cache = cache_of(registry, clock)
    first = cache.get("a")
    assert cache.get("a") is first
    assert plain(first) == b"a@0"
    registry.revision = 1
    assert plain(cache.get("a")) == b"a@1"
    assert registry.rendered == ["a", "a"]


def test_without_a_change_it_is_rendered_again_after_a_while_for_the_heartbeats(
    registry: Registry, clock: Clock
) -> None:
    cache = cache_of(registry, clock)
    for passed_ms in (0, FRESH_FOR_MS - 1, 1):
        clock.now_ms += passed_ms
        cache.get("a")
    assert registry.rendered == ["a", "a"]


def test_that_there_is_nothing_is_known_for_as_long(registry: Registry, clock: Clock) -> None:
    cache = cache_of(registry, clock)
    assert (cache.get(""), cache.get("")) == (None, None)
    assert registry.rendered == [""]


def test_a_lagging_answer_changes_with_the_refresh_only(registry: Registry, clock: Clock) -> None:
    cache = cache_of(registry, clock, lagging=True)
    assert (plain(cache.get("a")), cache.get("")) == (b"a@0", None)
    registry.revision = 1
    clock.advance_s(3600)
    assert (plain(cache.get("a")), cache.get("")) == (b"a@0", None)
    assert plain(cache.get("b")) == b"b@1"
    cache.refresh()
    assert plain(cache.get("a")) == b"a@1"


@pytest.mark.parametrize("lagging", [False, True])
def test_names_without_end_do_not_fill_the_memory(registry: Registry, clock: Clock, lagging: bool) -> None:
    cache = cache_of(registry, clock, lagging=lagging)
    for number in range(MAX_KEYS + 1):
        cache.get(str(number))
    registry.rendered.clear()
    cache.get("1")
    assert registry.rendered == []
    cache.get("0")
    assert registry.rendered == ["0"]


def test_the_gzipped_form_is_made_once(clock: Clock) -> None:
    payload = Payload(b"x" * 1000)
    assert gzip.decompress(payload.gzipped) == payload.plain
    assert payload.gzipped is payload.gzipped

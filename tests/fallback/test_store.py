"""The laws of the store: what was put last is found, nothing else is, and neither size nor age is ever exceeded."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from prana.fallback.store import AnswerStore
from prana.kept import Kept
from prana.request import Response
from prana.wire.fields import IN_RESPONSES, Field, FieldLines, Headers


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def kept(content: bytes = b"", *headers: tuple[bytes, bytes]) -> Kept:
    answer = Kept(Response(200, b"OK", [Field(*header) for header in headers], b""))
    answer.content = content
    return answer


def asking(**headers: bytes) -> Headers:
    return [Field(name.encode(), value) for name, value in headers.items()]


def content(store: AnswerStore, path: bytes = b"/a", request: Headers | None = None) -> bytes | None:
    found = store.find(path, request or [])
    return found[0].content if found is not None else None


PATHS = st.sampled_from([b"/a", b"/b", b"/c"])
TONGUES = st.sampled_from([b"en", b"de", b"fr"])
PUTS = st.tuples(st.just("put"), PATHS, TONGUES, st.binary(max_size=3000))
FINDS = st.tuples(st.just("find"), PATHS, TONGUES, st.just(b""))
WAITS = st.tuples(st.just("wait"), PATHS, TONGUES, st.just(b""))


@given(st.lists(st.one_of(PUTS, FINDS, WAITS), max_size=60), st.integers(2000, 12_000))
def test_what_is_found_was_put_last_and_neither_size_nor_age_is_exceeded(
    steps: list[tuple[str, bytes, bytes, bytes]], max_bytes: int
) -> None:
    clock = Clock()
    store = AnswerStore(max_bytes, 10.0, clock)
    latest: dict[tuple[bytes, bytes], tuple[bytes, float]] = {}
    for what, path, tongue, body in steps:
        if what == "wait":
            clock.now_s += 4.0
        elif what == "put":
            store.put(path, [Field(b"Accept-Language", tongue)], kept(body, (b"Vary", b"Accept-Language")))
            latest[path, tongue] = body, clock.now_s
        else:
            found = store.find(path, [Field(b"Accept-Language", tongue)])
            if found is not None:
                put, put_s = latest[path, tongue]
                assert (found[0].content, found[1]) == (put, clock.now_s - put_s)
                assert found[1] <= 10.0
        assert store.size_bytes <= max_bytes
        assert (store.size_bytes == 0) == (len(store) == 0)


def test_an_answer_is_found_until_it_is_too_old() -> None:
    clock = Clock()
    store = AnswerStore(10_000, 10.0, clock)
    store.put(b"/a", [], kept(b"1"))
    clock.now_s += 10.0
    assert store.find(b"/a", []) is not None
    clock.now_s += 0.1
    assert store.find(b"/a", []) is None
    assert (len(store), store.size_bytes) == (0, 0)


def test_the_age_at_arrival_counts() -> None:
    store = AnswerStore(10_000, 10.0, Clock())
    store.put(b"/a", [], kept(b"1"), age_s=4.0)
    found = store.find(b"/a", [])
    assert found is not None and found[1] == 4.0
    store.put(b"/b", [], kept(b"1"), age_s=10.1)
    assert len(store) == 1, "it would only take memory"
    assert store.find(b"/b", []) is None


def test_of_several_that_would_do_the_latest_is_found() -> None:
    store = AnswerStore(10_000, 10.0, Clock())
    store.put(b"/a", asking(accept=b"a", origin=b"b"), kept(b"1", (b"Vary", b"Accept")))
    store.put(b"/a", asking(accept=b"x", origin=b"o"), kept(b"2", (b"Vary", b"Origin")))
    assert content(store, request=asking(accept=b"a", origin=b"o")) == b"2"
    assert content(store, request=asking(accept=b"a", origin=b"b")) == b"1"


def test_the_query_is_part_of_the_path() -> None:
    store = AnswerStore(10_000, 10.0, Clock())
    store.put(b"/a?x=1", [], kept(b"1"))
    assert (content(store, b"/a?x=1"), content(store, b"/a?x=2"), content(store, b"/a")) == (b"1", None, None)


def test_answers_are_apart_by_the_headers_that_they_vary_with() -> None:
    store = AnswerStore(10_000, 10.0, Clock())
    vary = (b"vary", b"Accept-Language, Accept"), (b"Vary", b"Origin")
    german, english = asking(origin=b"o", accept=b"*/*"), asking(origin=b"o", accept=b"text/plain")
    store.put(b"/a", german, kept(b"1", *vary))
    store.put(b"/a", english, kept(b"2", *vary))
    assert (content(store, request=german), content(store, request=english)) == (b"1", b"2")
    assert content(store, request=[*german, Field(b"User-Agent", b"x")]) == b"1"
    assert content(store, request=[*german, Field(b"Accept", b"x")]) is None, "a second value is another value"
    assert content(store) is None
    store.put(b"/a", german, kept(b"3"))
    assert content(store, request=german) == b"3", "and one that varies no more replaces it"
    assert len(store) == 2


def test_what_was_stored_first_makes_room_and_what_is_too_large_is_not_stored() -> None:
    size = kept(bytes(1000)).size_bytes + len(b"/a")
    store = AnswerStore(2 * size, 10.0, Clock())
    for path in (b"/a", b"/b", b"/a", b"/c"):
        store.put(path, [], kept(bytes(1000)))
    assert [content(store, path) is not None for path in (b"/a", b"/b", b"/c")] == [True, False, True]
    store.put(b"/d", [], kept(bytes(2 * size)))
    assert [content(store, path) is not None for path in (b"/a", b"/c", b"/d")] == [True, True, False]


def test_no_path_has_more_than_sixteen_variants() -> None:
    store = AnswerStore(10_000_000, 10.0, Clock())
    for number in range(20):
        store.put(b"/a", asking(accept=b"%d" % number), kept(b"%d" % number, (b"Vary", b"Accept")))
    assert len(store) == 16
    assert [content(store, request=asking(accept=b"%d" % number)) for number in (3, 4, 19)] == [None, b"4", b"19"]


def test_it_takes_no_more_memory_than_it_says() -> None:
    lines = FieldLines(IN_RESPONSES)
    tracemalloc.start()
    try:
        store = AnswerStore(1_000_000, 10.0, Clock())
        before, _ = tracemalloc.get_traced_memory()
        for number in range(5000):
            headers = [lines[b"X-Own-%d-%d: %d" % (number, each, number)] for each in range(10)]
            answer = Kept(Response(200, b"OK", headers, b""))
            answer.content = bytes(500)
            store.put(b"/path/%d" % number, headers[:1], answer)
        lines.clear()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 900_000 < store.size_bytes <= 1_000_000
    assert 0.5 < (after - before) / store.size_bytes <= 1.0

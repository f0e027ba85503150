"""Fallback chains seen from outside."""

from functools import partial
from pathlib import Path

import pytest

from prana.config.settings import Fallback

from .conftest import NO_RETRY, StartSidecar, Upstream, answering, get


async def test_a_file_is_read_at_start_and_answers(
    start_sidecar: StartSidecar, upstream: Upstream, tmp_path: Path
) -> None:
    file = tmp_path / "users.json"
    file.write_text('{"users": []}')
    running = await start_sidecar(upstream.port, retry=NO_RETRY, fallback=(Fallback(file=str(file), status=203),))
    file.unlink()
    await upstream.stop()
    answer = await running.ask(get(b"/orders/"))
    assert (answer.status, answer.json) == (203, {"users": []})
    assert answer.value(b"Content-Type") == b"application/json"
    assert answer.value(b"X-Prana-Fallback") == b"file; reason=connect_failed"
    assert answer.value(b"Proxy-Status") == b"prana; error=connection_refused"


async def test_a_head_request_gets_the_head_of_the_fallback(start_sidecar: StartSidecar, upstream: Upstream) -> None:
    running = await start_sidecar(upstream.port, retry=NO_RETRY, fallback=(Fallback(body="instead"),))
    await upstream.stop()
    caller = await running.open()
    await caller.send(get(b"/orders/", method=b"HEAD"))
    answer = await caller.answer(bodiless=True)
    assert (answer.status, answer.value(b"Content-Length")) == (200, b"7")
    assert (await caller.ask(get(b"/orders/"))).body == b"instead"


LAST_GOOD = Fallback(last_good=True)


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nETag: e\r\nContent-Length: 4\r\n\r\ngood",
        b"HTTP/1.1 200 OK\r\nETag: e\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ngo\r\n2\r\nod\r\n0\r\n\r\n",
    ],
)
async def test_the_last_good_answer_stands_in_for_the_next_one(
    start_sidecar: StartSidecar, upstream: Upstream, sent: bytes
) -> None:
    upstream.serve = partial(answering, answer=sent)
    running = await start_sidecar(upstream.port, retry=NO_RETRY, fallback=(LAST_GOOD,))
    first = await running.ask(get(b"/orders/a?b=1"))
    assert (first.body, first.values(b"Cache-Status"), first.values(b"Age")) == (b"good", [], [])
    await upstream.stop()
    answer = await running.ask(get(b"/orders/a?b=1"))
    assert (answer.status, answer.body, answer.value(b"ETag")) == (200, b"good", b"e")
    assert answer.value(b"Cache-Status") == b"prana; hit"
    assert answer.value(b"Age").isdigit()
    assert answer.value(b"X-Prana-Fallback") == b"last_good; reason=connect_failed"
    assert answer.value(b"Proxy-Status") == b"prana; error=connection_refused"
    assert answer.value(b"X-Request-Id") != first.value(b"X-Request-Id")
    assert (await running.ask(get(b"/orders/a?b=2"))).problem == (502, "connection_refused")
    assert (await running.ask(get(b"/orders/a?b=1", b"Cookie: a=b"))).problem == (502, "connection_refused")
    metrics = running.service().metrics
    assert (metrics.fallbacks_by_kind, metrics.fallback_failures_by_kind) == ({"last_good": 1}, {"last_good": 2})

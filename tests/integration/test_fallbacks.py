"""Fallback chains seen from outside."""

from pathlib import Path

from prana.config.settings import Fallback

from .conftest import NO_RETRY, StartSidecar, Upstream, get


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

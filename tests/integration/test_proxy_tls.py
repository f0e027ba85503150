"""Instances that are called by TLS, with real certificates on real sockets."""

import asyncio
import contextlib
import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from prana.config.settings import Eureka, Retry, ServicePolicy, Tls
from prana.config.units import Address
from prana.request import End, Request
from prana.wire.body import BodyStream
from prana.wire.limits import BODY_HIGH_WATER_BYTES
from prana.wire.pool import Pool
from prana.wire.tls import UpstreamTls
from registry.instance import Instance
from registry.snapshot import Snapshot

from .conftest import (
    NO_RETRY,
    OK,
    PATIENCE_S,
    Peer,
    Running,
    StartSidecar,
    StartUpstream,
    answering,
    get,
    post,
    response,
    until,
)

FILES = Path(__file__).parents[1] / "tls"
OURS = str(FILES / "ours-authority.pem")
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"


def server(certificate: str = "instance", clients_of: str = "") -> ssl.SSLContext:
    """What an instance with this certificate has; `clients_of` is the authority of clients, which are asked then."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(FILES / f"{certificate}.pem")
    context.set_alpn_protocols(["h2", "http/1.1"])
    if clients_of:
        context.load_verify_locations(FILES / f"{clients_of}-authority.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def secure(*ports: int, host: str = "127.0.0.1", ca_file: str = OURS, **tls: object) -> ServicePolicy:
    return ServicePolicy(
        instances=tuple(Address(host, port, secure=True) for port in ports),
        tls=Tls(ca_file=ca_file, **tls),  # type: ignore[arg-type] # settings of a test
        retry=NO_RETRY,
    )


@contextlib.asynccontextmanager
async def openssl_server(
    context: ssl.SSLContext, serve: Callable[[ssl.SSLSocket], object] = lambda _: None, *, corked: bool = False
) -> AsyncIterator[int]:
    """One connection to a server with blocking sockets: it sends alerts, which asyncio's and uvloop's do not. `corked`
    holds back what it writes until `serve` uncorks it. Gives the port."""

    def accept() -> None:
        sock, _ = listener.accept()
        sock.settimeout(PATIENCE_S)
        if corked:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        with context.wrap_socket(
            sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
        ) as connection:
            try:
                connection.do_handshake()
                serve(connection)
            except ssl.SSLError:
                linger(connection)

    def linger(connection: ssl.SSLSocket) -> None:
        """So that the alert is not overtaken by a reset for what was not read."""
        with socket.socket(fileno=connection.detach()) as plain, contextlib.suppress(OSError):
            plain.settimeout(PATIENCE_S)
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(2**16):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        done = asyncio.create_task(asyncio.to_thread(accept))
        yield listener.getsockname()[1]
        await done


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(asyncio.get_running_loop().time)
    yield pool
    await pool.close()


async def test_bodies_pass_both_ways_and_the_connection_is_kept(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(tls=server())
    running = await start_sidecar(more={"orders": secure(upstream.port)})
    body = bytes(range(256)) * 4096
    upstream.serve = lambda peer: answering(peer, lambda recorded: response(recorded.body))
    assert (await running.ask(post(b"/orders/a", body))).body == body
    assert (await running.ask(get(b"/orders/b"))).body == b""
    assert upstream.connections == 1
    assert upstream.requests[0].values(b"X-Forwarded-Proto") == [b"http"], "how the caller called"


async def test_the_host_name_is_asked_for_and_http_1_1_is_agreed_on(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    asked: list[str | None] = []
    context = server()
    context.sni_callback = lambda connection, name, _: asked.append(name)
    upstream = await start_upstream(tls=context)
    running = await start_sidecar(
        more={
            "by-name": secure(upstream.port, host="localhost"),
            "by-address": secure(upstream.port),
            "renamed": secure(upstream.port, server_name="localhost"),
        }
    )
    with structlog.testing.capture_logs() as logs:
        for name in (b"by-name", b"by-address", b"renamed"):
            assert (await running.ask(get(b"/" + name + b"/"))).status == 200
    assert [line for line in logs if line["log_level"] == "warning"] == []
    assert asked == ["localhost", None, "localhost"], "RFC 6066 section 3: no address"
    agreed = upstream.peers[0].writer.get_extra_info("ssl_object").selected_alpn_protocol()
    assert agreed == "http/1.1"


@pytest.mark.parametrize(
    ("certificate", "tls", "words"),
    [
        ("stranger", {}, "comes from an authority that tls.ca_file, or this system, does"),
        ("instance", {"ca_file": ""}, "comes from an authority"),
        ("expired", {}, "the certificate of 127.0.0.1 has expired"),
        ("elsewhere", {}, "the certificate of 127.0.0.1 is not for the address 127.0.0.1; "),
        ("elsewhere", {"host": "localhost"}, "the certificate of localhost is not for the name localhost; "),
        ("instance", {"server_name": "other"}, "the certificate of 127.0.0.1 is not for the name other; "),
    ],
)
async def test_who_cannot_prove_who_it_is_gets_nothing(
    start_sidecar: StartSidecar,
    start_upstream: StartUpstream,
    certificate: str,
    tls: dict[str, str],
    words: str,
) -> None:
    upstream = await start_upstream(tls=server(certificate))
    running = await start_sidecar(more={"orders": secure(upstream.port, **tls)})
    answer = await running.ask(post(b"/orders/", b"secret"))
    assert answer.problem == (502, "tls_certificate_error")
    assert words in answer.json["detail"]
    assert upstream.requests == []
    (node,) = running.service().balancer.nodes
    assert node.failures == 1
    assert running.upstream_connections == 0


async def test_a_client_certificate_is_shown_to_those_that_ask(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(tls=server(clients_of="ours"))
    ours = secure(upstream.port, cert_file=str(FILES / "client.pem"))
    running = await start_sidecar(more={"orders": ours})
    assert (await running.ask(get(b"/orders/"))).status == 200


@pytest.mark.parametrize(
    ("certificate", "version", "token", "words"),
    [
        ("", ssl.TLSVersion.TLSv1_3, "tls_certificate_error", "did not accept our certificate, tls.cert_file: "),
        ("stranger", ssl.TLSVersion.TLSv1_3, "tls_certificate_error", "our certificate, tls.cert_file: unknown ca"),
        ("stranger", ssl.TLSVersion.TLSv1_2, "tls_certificate_error", "our certificate, tls.cert_file: unknown ca"),
        ("", ssl.TLSVersion.TLSv1_2, "tls_protocol_error", "handshake failure"),  # all that it says of it
    ],
)
async def test_a_client_certificate_that_is_missing_or_not_accepted_is_named(
    start_sidecar: StartSidecar, certificate: str, version: ssl.TLSVersion, token: str, words: str
) -> None:
    context = server(clients_of="ours")
    context.maximum_version = version
    async with openssl_server(context) as port:
        ours = secure(port, cert_file=str(FILES / f"{certificate}.pem") if certificate else "")
        running = await start_sidecar(more={"orders": ours})
        answer = await running.ask(get(b"/orders/"))
    assert answer.problem == (502, token), answer.json
    assert words in answer.json["detail"]


async def test_a_handshake_without_an_end_is_told_from_a_connection_that_never_stood(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    async def silence(peer: Peer) -> None:
        await peer.ended()

    upstream = await start_upstream(silence)
    policy = secure(upstream.port)
    running = await start_sidecar(
        more={"orders": ServicePolicy(instances=policy.instances, tls=policy.tls, retry=NO_RETRY, connect_timeout=0.1)}
    )
    answer = await running.ask(get(b"/orders/"))
    assert answer.problem == (504, "connection_timeout")
    assert answer.json["detail"] == f"no TLS handshake with 127.0.0.1:{upstream.port} within 0.1 s"
    await until(lambda: upstream.ends == 1, "our end of the connection to be closed")


async def test_an_instance_that_breaks_off_the_handshake_says_so(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    async def close(peer: Peer) -> None:
        await peer.reader.read(1)

    upstream = await start_upstream(close)
    running = await start_sidecar(more={"orders": secure(upstream.port)})
    answer = await running.ask(get(b"/orders/"))
    assert answer.problem == (502, "tls_protocol_error")
    assert answer.json["detail"].startswith("127.0.0.1 broke off the TLS handshake: ")


async def test_an_instance_without_tls_is_named_so(start_sidecar: StartSidecar, start_upstream: StartUpstream) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.send(response(status=b"400 Bad Request"))
        await peer.ended()

    upstream = await start_upstream(refuse)
    running = await start_sidecar(more={"orders": secure(upstream.port)})
    answer = await running.ask(get(b"/orders/"))
    assert answer.problem == (502, "tls_protocol_error")
    assert answer.json["detail"] == "127.0.0.1 does not speak TLS on its secure port"


async def test_tls_where_plain_is_expected_is_a_bad_answer(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(tls=server())
    running = await start_sidecar(upstream.port, retry=NO_RETRY)
    answer = await running.ask(get(b"/orders/"))
    assert answer.status == 502
    assert upstream.requests == []


@pytest.mark.parametrize("tls", [None, server("stranger")], ids=["no TLS", "no certificate of ours"])
async def test_nothing_was_sent_so_even_a_post_goes_to_another_instance(
    start_sidecar: StartSidecar, start_upstream: StartUpstream, tls: ssl.SSLContext | None
) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.reader.read(1)

    bad, good = await start_upstream(refuse, tls=tls), await start_upstream(tls=server())
    policy = secure(bad.port, good.port)
    both = ServicePolicy(instances=policy.instances, tls=policy.tls, retry=Retry(budget_floor_per_s=100))
    running = await start_sidecar(more={"orders": both})
    for _ in range(8):
        assert (await running.ask(post(b"/orders/", b"x"))).status == 200
    assert (len(bad.requests), len(good.requests)) == (0, 8)
    assert sum(node.failures for node in running.service().balancer.nodes) > 0


async def test_a_cluster_may_be_mixed(start_sidecar: StartSidecar, start_upstream: StartUpstream) -> None:
    plain, tls = await start_upstream(), await start_upstream(tls=server())
    policy = secure(tls.port)
    mixed = ServicePolicy(instances=(Address("127.0.0.1", plain.port), *policy.instances), tls=policy.tls)
    running = await start_sidecar(more={"orders": mixed})
    for _ in range(20):
        assert (await running.ask(get(b"/orders/"))).status == 200
    assert plain.requests
    assert tls.requests


async def test_connections_of_different_settings_never_meet(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(tls=server())
    running = await start_sidecar(
        more={
            "known": secure(upstream.port),
            "same": secure(upstream.port),
            "client": secure(upstream.port, cert_file=str(FILES / "client.pem")),
            "suspicious": secure(upstream.port, ca_file=str(FILES / "foreign-authority.pem")),
            "plain": ServicePolicy(instances=(Address("127.0.0.1", upstream.port),), retry=NO_RETRY),
        }
    )
    statuses = {}
    for name in ("known", "same", "client", "suspicious", "plain"):
        statuses[name] = (await running.ask(get(b"/" + name.encode() + b"/"))).status
    assert statuses == {"known": 200, "same": 200, "client": 200, "suspicious": 502, "plain": 502}
    assert len([peer for peer in upstream.peers if peer.requests]) == 2
    assert [len(peer.requests) for peer in upstream.peers if peer.requests] == [2, 1]


async def test_without_verification_anybody_is_believed_and_the_log_says_so_once(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(tls=server("expired"))
    running = await start_sidecar(more={"orders": secure(upstream.port, ca_file="", verify=False)})
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            assert (await running.ask(get(b"/orders/"))).status == 200
    warnings = [line for line in logs if line["event"] == "certificates are not verified"]
    assert [(line["log_level"], line["service"]) for line in warnings] == [("warning", "orders")]


@pytest.mark.parametrize("body", [b"", b"delimited by the close"])
async def test_a_body_until_the_close_is_complete_only_with_a_close_notify(
    start_sidecar: StartSidecar, start_upstream: StartUpstream, body: bytes
) -> None:
    """RFC 9112 section 9.8: without one, somebody else may have cut it."""
    upstream = await start_upstream(tls=server())
    running = await start_sidecar(more={"orders": secure(upstream.port)})
    go_on = asyncio.Event()

    async def complete(peer: Peer) -> None:
        await peer.request()
        await peer.send(UNTIL_CLOSE + body)

    async def cut(peer: Peer) -> None:
        await peer.request()
        await peer.send(UNTIL_CLOSE + body)
        await go_on.wait()
        peer.writer.transport.abort()

    upstream.serve = complete
    assert (await running.ask(get(b"/orders/"))).body == body
    upstream.serve = cut
    caller = await running.open()
    await caller.send(get(b"/orders/"))
    assert (await caller._until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    go_on.set()
    assert await caller.ended() == "reset"
    await until(lambda: running.upstream_connections == 0)


async def test_an_end_right_behind_a_body_cuts_nothing_off_that_was_not_read_yet(pool: Pool) -> None:
    part = bytes(range(256)) * 512

    def serve(connection: ssl.SSLSocket) -> None:
        connection.recv(2**16)
        connection.sendall(UNTIL_CLOSE + part)
        paused.wait(PATIENCE_S)
        connection.sendall(part)
        connection.settimeout(0.01)
        with contextlib.suppress(TimeoutError):
            connection.unwrap()  # that is, a close_notify

    paused = threading.Event()
    async with openssl_server(server(), serve) as port:
        connection = await pool.connect(("localhost", "127.0.0.1", port, UpstreamTls(Tls(ca_file=OURS))), PATIENCE_S)
        assert connection.transport.get_write_buffer_limits()[1] == BODY_HIGH_WATER_BYTES
        request = Request(b"GET", b"/", [], 0.0)
        answer = await connection.exchange(request, b"GET / HTTP/1.1\r\n\r\n", PATIENCE_S)
        body = answer.body
        assert isinstance(body, BodyStream)
        await until(lambda: body._paused, "the buffer to be full")
        paused.set()
        await asyncio.sleep(0.1)  # for the end to arrive, if it is let
        received = bytearray()
        while data := await body.read(PATIENCE_S):
            received += data
        assert received == part + part
        answer.finish(End.COMPLETE)


async def test_an_upload_waits_for_an_instance_that_reads_slowly(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    size = 8 * 2**20

    async def serve(peer: Peer) -> None:
        await peer.head()
        await asyncio.sleep(0.2)
        for _ in range(size // 2**16):
            await peer._exactly(2**16)
        await peer.send(OK)

    upstream = await start_upstream(serve, tls=server())
    running = await start_sidecar(more={"orders": secure(upstream.port)})
    assert (await running.ask(post(b"/orders/", b"x" * size))).status == 200


@pytest.mark.skipif(sys.platform != "linux", reason="needs TCP_CORK, to put both into one segment")
async def test_what_comes_with_the_handshake_is_no_answer(start_sidecar: StartSidecar) -> None:
    def first_word(connection: ssl.SSLSocket) -> None:
        connection.send(response(b"forged"))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        connection.recv(1)

    context = server()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # in which the last word of the handshake is the server's
    async with openssl_server(context, first_word, corked=True) as port:
        running = await start_sidecar(more={"orders": secure(port)})
        answer = await running.ask(get(b"/orders/"))
    assert answer.problem == (502, "tls_protocol_error")
    assert answer.json["detail"].endswith("it sent something before it was asked")


async def test_plain_text_before_the_handshake_is_no_answer(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    """CVE-2026-1642: injected by somebody in the middle, and taken for the instance's."""

    async def serve(peer: Peer) -> None:
        await peer.send(response(b"forged"))
        await peer.ended()

    upstream = await start_upstream(serve)
    running = await start_sidecar(more={"orders": secure(upstream.port)})
    assert (await running.ask(get(b"/orders/"))).status == 502


async def test_bytes_on_an_idle_connection_end_it(start_sidecar: StartSidecar, start_upstream: StartUpstream) -> None:
    upstream = await start_upstream(tls=server())
    running = await start_sidecar(more={"orders": secure(upstream.port)})
    assert (await running.ask(get(b"/orders/1"))).status == 200
    await upstream.peers[0].send(response(b"forged"))
    await until(lambda: running.upstream_connections == 0)
    assert (await running.ask(get(b"/orders/2"))).body == b"ok"
    assert upstream.connections == 2


async def test_a_connection_that_idled_too_long_is_ended_with_a_close_notify(start_sidecar: StartSidecar) -> None:
    def serve(connection: ssl.SSLSocket) -> None:
        connection.recv(2**16)
        connection.sendall(response(b"ok", b"Keep-Alive: timeout=1"))
        try:
            ends.append(connection.recv(1))
        except ssl.SSLEOFError:
            ends.append(b"cut")

    ends: list[bytes] = []
    async with openssl_server(server(), serve) as port:
        running = await start_sidecar(more={"orders": secure(port)})
        assert (await running.ask(get(b"/orders/"))).status == 200
        running.sidecar._pool.sweep()
        await until(lambda: ends)
    assert ends == [b""]


def registered(port: int, secure_port: int, host: str = "localhost.") -> Snapshot:
    """The dot is that of a complete name in the DNS; certificates are for names without it."""
    each = Instance("ORDERS", "o-1", host, "127.0.0.1", port, vips=("plain",), secure_vips=("safe",))
    return Snapshot.of([replace(each, secure_port=secure_port)])


async def start_reading(start_sidecar: StartSidecar, snapshot: Snapshot) -> Running:
    """A sidecar whose registry is `snapshot`."""
    eureka = Eureka(urls=("http://127.0.0.1:1/eureka/",), register=False, allow_loopback_instances="always")
    policies = {name: ServicePolicy(tls=Tls(ca_file=OURS), retry=NO_RETRY) for name in ("orders", "safe")}
    policies["plain"] = ServicePolicy(tls=Tls(mode="never"), retry=NO_RETRY)
    running = await start_sidecar(settings={"eureka": eureka}, more=policies)
    assert running.sidecar._discovery is not None
    running.sidecar._discovery.restore(snapshot, 0.0)
    return running


async def test_instances_of_the_registry_are_called_by_the_secure_port_they_registered(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    plain, tls = await start_upstream(), await start_upstream(tls=server())
    running = await start_reading(start_sidecar, registered(plain.port, tls.port))
    for name in (b"orders", b"safe", b"plain"):
        assert (await running.ask(get(b"/" + name + b"/" + name))).status == 200
    assert [recorded.line for recorded in tls.requests] == [b"GET /orders HTTP/1.1", b"GET /safe HTTP/1.1"]
    assert [recorded.line for recorded in plain.requests] == [b"GET /plain HTTP/1.1"]


async def test_a_host_that_no_certificate_can_be_for_is_named(
    start_sidecar: StartSidecar, start_upstream: StartUpstream
) -> None:
    tls = await start_upstream(tls=server())
    running = await start_reading(start_sidecar, registered(0, tls.port, host="a..b"))
    answer = await running.ask(get(b"/orders/"))
    assert answer.problem == (502, "tls_protocol_error")
    assert answer.json["detail"] == "'a..b' is no host name that a certificate could be for"

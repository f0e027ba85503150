import asyncio
import base64
import gzip
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableSequence
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
import yarl
from aiohttp import web

from registry import transport as transport_module
from registry.server_url import Server, masked
from registry.servers import Servers
from registry.transport import EurekaTransport, EurekaUnavailable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]
ServeBytes = Callable[[bytes], Awaitable[str]]
Open = Callable[..., EurekaTransport]

REFUSING = "http://127.0.0.1:1/eureka/"  # nobody listens on tcpmux


class Unshuffled(Random):
    def shuffle(self, x: MutableSequence[object]) -> None:
        pass


def in_order(urls: Iterable[str]) -> Servers:
    return Servers.of(urls, lambda: 0.0, Unshuffled())


@pytest.fixture
async def connect() -> AsyncIterator[Open]:
    opened: list[EurekaTransport] = []

    def make(*urls: str, **options: float) -> EurekaTransport:
        opened.append(EurekaTransport(in_order(urls), **options))  # type: ignore[arg-type] # one int, one float
        return opened[-1]

    yield make
    for transport in opened:
        await transport.close()


class Answers:
    """A handler that always says the same and remembers what it was asked."""

    def __init__(self, status: int = 200, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.asked: list[web.Request] = []
        self._status, self._body, self._headers = status, body, headers

    async def __call__(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        return web.Response(status=self._status, body=self._body, headers=self._headers)


async def hang(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    return web.Response()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://eureka:8761/eureka/", "http://eureka:8761/eureka/"),
        ("http://user:secret@host/eureka/", "http://***@host/eureka/"),
        ("http://user@host/eureka/", "http://***@host/eureka/"),
        ("http://user:se/cr:e@t@host/eureka/", "http://***@host/eureka/"),
        ("http://user:se://cret@host/", "http://***@host/"),
        ("user:secret@host", "***@host"),
        ("HTTP://user:se\ncret@host/", "HTTP://***@host/"),
        ("nonsense", "nonsense"),
    ],
)
def test_masking_hides_everything_up_to_the_last_at_sign(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x9:x9@host/eureka/",
        "x9:x9@host",
        "http://x9:x9/x9@host/eureka/",
        "http://x9:x9@/eureka/",
        "http://x9:x9@host:port/eureka/",
        "http://x9:x9@host/eureka/?zone=a",
        "http://x9:x9@[::1/eureka/",
    ],
)
def test_an_unusable_url_is_refused_without_quoting_its_credentials(url: str) -> None:
    with pytest.raises(ValueError, match="allowed: http") as raised:
        Server.parse(url)
    assert "x9" not in "".join(traceback.format_exception(raised.value))


async def test_without_any_server_there_is_no_answer(connect: Open) -> None:
    with pytest.raises(EurekaUnavailable, match="no Eureka server is known yet"):
        await connect().request("GET", "apps/")


async def test_credentials_travel_percent_decoded_as_basic_and_are_shown_nowhere(serve: Serve, connect: Open) -> None:
    server = Answers(401)
    url = (await serve(server)).replace("http://", "http://us%40er:canary%2F%C3%A9@")
    transport = connect(url)
    with pytest.raises(EurekaUnavailable) as raised:
        await transport.request("GET", "apps/")
    sent = server.asked[0].headers["Authorization"]
    assert sent == "Basic " + base64.b64encode("us@er:canary/é".encode()).decode()
    everything = "".join(traceback.format_exception(raised.value))
    everything += repr(raised.value) + repr(raised.value.__context__) + repr(transport) + str(transport.servers)
    everything += repr(list(transport._servers))
    assert "canary" not in everything
    assert sent.removeprefix("Basic ") not in everything
    assert "***@127.0.0.1" in raised.value.detail
    assert "HTTP 401" in raised.value.detail


async def test_without_credentials_no_authorization_is_sent(serve: Serve, connect: Open) -> None:
    server = Answers()
    await connect(await serve(server)).request("GET", "apps/")
    assert "Authorization" not in server.asked[0].headers


async def test_requests_say_who_we_are_and_what_we_read(serve: Serve, connect: Open) -> None:
    server = Answers()
    transport = connect(await serve(server))
    await transport.request("GET", "apps/")
    await transport.request("POST", "apps/A", content=b"{}")
    read, written = (request.headers for request in server.asked)
    assert read["Accept"] == "application/json"
    assert read["Accept-Encoding"] == "gzip"
    assert read["DiscoveryIdentity-Name"] == "DefaultClient"
    assert "Content-Type" not in read
    assert written["Content-Type"] == "application/json"


@pytest.mark.parametrize("ending", ["", "/", "//"])
async def test_base_and_path_are_joined_by_one_slash(ending: str, serve: Serve, connect: Open) -> None:
    server = Answers()
    url = (await serve(server)).removesuffix("/") + ending
    await connect(url).request("GET", "apps/A/host%3Aa%3A80?status=UP")
    assert server.asked[0].raw_path == "/eureka/apps/A/host%3Aa%3A80?status=UP"


async def test_a_gzipped_body_of_many_pieces_is_decoded(serve: Serve, connect: Open) -> None:
    body = Random(1).randbytes(500_000)
    packed = Answers(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert (await connect(await serve(packed)).request("GET", "apps/")).body == body


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 429, 500, 503])
async def test_any_status_that_was_not_asked_for_moves_on_to_the_next_server(
    status: int, serve: Serve, connect: Open
) -> None:
    good = Answers(body=b"good")
    good_url = await serve(good)
    bad = Answers(status, b"never read", headers={"Location": good_url + "redirected"})
    reply = await connect(await serve(bad), good_url).request("GET", "apps/")
    assert (reply.status, reply.body) == (200, b"good")
    assert [request.path for request in good.asked] == ["/eureka/apps/"]
    assert len(bad.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\nnotgzip",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
async def test_garbage_moves_on_to_the_next_server(
    answer: bytes, serve: Serve, serve_bytes: ServeBytes, connect: Open
) -> None:
    transport = connect(await serve_bytes(answer), await serve(Answers(body=b"good")))
    assert (await transport.request("GET", "apps/")).body == b"good"


async def test_a_server_that_hangs_or_refuses_is_passed_over(serve: Serve, connect: Open) -> None:
    transport = connect(await serve(hang), REFUSING, await serve(Answers(body=b"good")), read_timeout_s=0.05)
    assert (await transport.request("GET", "apps/")).body == b"good"


async def test_the_last_good_server_is_asked_first(serve: Serve, connect: Open) -> None:
    bad, good = Answers(503), Answers()
    transport = connect(await serve(bad), await serve(good))
    await transport.request("GET", "apps/")
    await transport.request("GET", "apps/")
    assert (len(bad.asked), len(good.asked)) == (1, 2)


async def test_when_all_fail_three_were_asked_once_and_each_reason_is_given(serve: Serve, connect: Open) -> None:
    first, fourth = Answers(500), Answers()
    transport = connect(await serve(first), REFUSING, await serve(hang), await serve(fourth), read_timeout_s=0.05)
    with pytest.raises(EurekaUnavailable) as raised:
        await transport.request("PUT", "apps/A/a")
    assert (len(first.asked), len(fourth.asked)) == (1, 0)
    one, two, three = raised.value.detail.split("; ")
    assert one.endswith(": HTTP 500")
    assert "cannot connect to 127.0.0.1:1" in two
    assert three.endswith(": timed out")
    assert (await transport.request("PUT", "apps/A/a")).server.label.startswith("http://127.0.0.1"), "the fourth"


async def test_a_server_whose_answer_turned_out_unusable_is_not_asked_next(serve: Serve, connect: Open) -> None:
    bad, good = Answers(body=b"junk"), Answers(body=b"good")
    transport = connect(await serve(bad), await serve(good), REFUSING, REFUSING.replace("127.0.0.1", "localhost"))
    transport.distrust(await transport.request("GET", "apps/"))
    assert (await transport.request("GET", "apps/")).body == b"good"


# redirects


async def test_a_redirect_to_another_registry_is_followed_without_credentials(serve: Serve, connect: Open) -> None:
    target = Answers(body=b"there")
    elsewhere = await serve(target)
    url = await serve(Answers(302, headers={"Location": f"{elsewhere}v2/apps/?x=1"}))
    transport = connect(url.replace("http://", "http://user:canary@"))
    for _ in range(2):
        reply = await transport.request("PUT", "apps/A/a%3A1?status=UP", content=b"x")
    assert reply.body == b"there"
    assert [(asked.method, asked.raw_path) for asked in target.asked] == [
        ("PUT", "/eureka/v2/apps/A/a%3A1?status=UP")
    ] * 2
    assert "Authorization" not in target.asked[0].headers


async def test_a_redirect_on_the_same_server_keeps_the_credentials(serve: Serve, connect: Open) -> None:
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        moved = "/v2/" not in request.path
        return web.Response(status=307, headers={"Location": "v2/apps/"}) if moved else web.Response(body=b"moved")

    transport = connect((await serve(answer)).replace("http://", "http://user:canary@"))
    assert (await transport.request("GET", "apps/")).body == b"moved"
    assert [request.path for request in asked] == ["/eureka/apps/", "/eureka/apps/v2/apps/"]
    assert all("Authorization" in request.headers for request in asked)


@pytest.mark.parametrize("location", ["", "/login", "ftp://127.0.0.1/apps/", "http://[::1/apps/", "data:apps/"])
async def test_a_redirect_to_anything_else_counts_as_a_failure(location: str, serve: Serve, connect: Open) -> None:
    url = await serve(Answers(302, headers={"Location": location}))
    with pytest.raises(EurekaUnavailable, match="HTTP 302 to somewhere that is no registry"):
        await connect(url).request("GET", "apps/")


async def test_a_host_that_the_dns_has_no_form_for_is_a_server_that_does_not_answer(connect: Open) -> None:
    with pytest.raises(EurekaUnavailable, match="label"):
        await connect(f"http://{'a' * 64}/eureka/").request("GET", "apps/")


async def test_a_loop_of_redirects_is_left(serve: Serve, connect: Open) -> None:
    loop = Answers(302, headers={"Location": "/eureka/apps/"})
    with pytest.raises(EurekaUnavailable, match="more than 10 redirects"):
        await connect(await serve(loop)).request("GET", "apps/")
    assert len(loop.asked) == 11


async def test_a_redirect_never_leads_from_https_to_http() -> None:
    response = SimpleNamespace(status=302, headers={"Location": "http://127.0.0.1/eureka/apps/"})
    with pytest.raises(transport_module._Refused, match="from https to http"):
        transport_module._redirected(yarl.URL("https://127.0.0.1/eureka/apps/"), response)  # type: ignore[arg-type] # all it reads


async def test_an_accepted_status_is_an_answer_and_its_body_is_dropped(serve: Serve, connect: Open) -> None:
    missing = Answers(404, b'{"error":"not for us"}')
    transport = connect(await serve(missing), await serve(Answers()))
    reply = await transport.request("PUT", "apps/A/a", accept=(404,))
    assert (reply.status, reply.body) == (404, b"")


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_over_the_limit_is_refused_after_decoding(packed: bool, serve: Serve, connect: Open) -> None:
    body = b"x" * 1001
    huge = Answers(body=gzip.compress(body), headers={"Content-Encoding": "gzip"}) if packed else Answers(body=body)
    fits = connect(await serve(huge), max_body_bytes=1001)
    assert (await fits.request("GET", "apps/")).body == body
    transport = connect(await serve(huge), max_body_bytes=1000)
    with pytest.raises(EurekaUnavailable, match="larger than 1000 bytes"):
        await transport.request("GET", "apps/")


async def test_a_body_announced_as_too_large_is_not_even_begun(serve_bytes: ServeBytes, connect: Open) -> None:
    url = await serve_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
    with pytest.raises(EurekaUnavailable, match="larger than 1000 bytes"):
        await connect(url, max_body_bytes=1000).request("GET", "apps/")


async def test_cookies_are_not_kept(serve: Serve, connect: Open) -> None:
    server = Answers(headers={"Set-Cookie": "JSESSIONID=1"})
    transport = connect((await serve(server)).replace("127.0.0.1", "localhost"))
    await transport.request("GET", "apps/")
    await transport.request("GET", "apps/")
    assert "Cookie" not in server.asked[1].headers


async def test_a_closed_transport_can_be_closed_again_and_used_again(serve: Serve, connect: Open) -> None:
    transport = connect(await serve(Answers(body=b"hello")))
    await transport.close()
    await transport.request("GET", "apps/")
    await transport.close()
    await transport.close()
    assert (await transport.request("GET", "apps/")).body == b"hello"


def test_a_transport_can_be_made_before_there_is_a_loop_and_knows_ipv6() -> None:
    transport = EurekaTransport(in_order(["https://user:canary@[::1]:8761/eureka"]))
    assert transport.servers == ("https://***@[::1]:8761/eureka",)


# TLS

TLS = Path(__file__).parents[1] / "tls"  # a certificate of localhost, its own authority, good for a hundred years


@pytest.fixture
async def secure_url() -> AsyncIterator[str]:
    """A server that has that certificate and answers "secret"."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / "server.pem")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", Answers(body=b"secret").__call__)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://localhost:{runner.addresses[0][1]}/eureka/"
    await runner.cleanup()


async def test_a_server_is_believed_when_the_given_authority_vouches_for_it(secure_url: str) -> None:
    tls = ssl.create_default_context(cafile=TLS / "authority.pem")
    transport = EurekaTransport(in_order([secure_url]), tls=tls)
    assert (await transport.request("GET", "apps/")).body == b"secret"
    await transport.close()


async def test_a_server_nobody_vouches_for_is_not_believed(secure_url: str, connect: Open) -> None:
    with pytest.raises(EurekaUnavailable, match="cannot connect to localhost"):
        await connect(secure_url).request("GET", "apps/")


async def test_a_certificate_for_another_name_is_not_believed(secure_url: str) -> None:
    tls = ssl.create_default_context(cafile=TLS / "authority.pem")
    other_name = secure_url.replace("localhost", "127.0.0.2")
    transport = EurekaTransport(in_order([other_name]), tls=tls)
    with pytest.raises(EurekaUnavailable):
        await transport.request("GET", "apps/")
    await transport.close()

"""What only trying tells: do the Eureka servers answer, does the app, are the ports free."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath

from prana.config.loader import Loaded
from prana.config.masking import mask_credentials
from prana.config.positions import Path
from prana.config.settings import App, AppHealth, EurekaDns
from prana.config.shapes import Tables
from prana.config.sources import Origin, Problem, dotted
from prana.config.units import Address, format_duration
from prana.http_get import NoAnswer, http_get
from prana.startup import cannot_listen
from prana.tls import authorities
from prana.unix_socket import refuse_taken
from registry.commandprobe import CommandProbe
from registry.dnsservers import DnsName, NoRecords, servers_by_zone, txt_words
from registry.healthstate import Verdict

_TIMEOUT_S = 5.0


def online_problems(loaded: Loaded) -> Iterator[Problem]:
    """Tries everything, one thing after the other; takes up to some seconds for each that does not answer."""
    settings = loaded.settings
    yield from _eureka_problems(loaded)
    for at, app in Tables.located(("app",), settings.apps):
        if failure := _app_failure(app):
            yield _problem(loaded, (*at, *_health_key(app)), failure)
    for index, address in enumerate(settings.proxy.listen):
        if failure := _listen_failure(address, "proxy.listen"):
            yield _problem(loaded, ("proxy", "listen"), failure, index)
    if failure := _listen_failure(settings.admin.listen, "admin.listen"):
        yield _problem(loaded, ("admin", "listen"), failure)


def _problem(loaded: Loaded, path: Path, message: str, index: int | None = None) -> Problem:
    origin = loaded.origin(path)
    return Problem(Origin(origin.place, dotted(path if index is None else (*path, index)), origin.line), message)


def _eureka_problems(loaded: Loaded) -> Iterator[Problem]:
    """Of those that are asked; what the DNS names is looked up first."""
    eureka = loaded.settings.eureka
    tls = authorities(eureka.ca_file)
    lists: list[tuple[Path, Sequence[str]]] = [(("eureka", "urls"), eureka.plain_urls)]
    lists += [(("eureka", "zones", zone), urls) for zone, urls in eureka.zones.items()]
    if eureka.dns.domain:
        try:
            lists.append((("eureka", "dns", "domain"), asyncio.run(_dns_urls(eureka.dns))))
        except (NoRecords, ValueError) as error:
            yield _problem(loaded, ("eureka", "dns", "domain"), f"no server is found: {error}")
    for path, urls in lists:
        for index, url in enumerate(urls):
            if failure := _eureka_failure(url, tls):
                listed = None if path == ("eureka", "dns", "domain") else index
                yield _problem(loaded, path, f"{mask_credentials(url)} {failure}", listed)


async def _dns_urls(dns: EurekaDns) -> list[str]:
    found = await servers_by_zone(DnsName(dns.region, dns.domain, dns.scheme, dns.port, dns.path), txt_words)
    return [server.base for servers in found.values() for server in servers]


def _eureka_failure(url: str, tls: ssl.SSLContext | None) -> str | None:
    try:
        # The Netflix WAR answers 406 to an Accept-Encoding without gzip.
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        answer = http_get(url.rstrip("/") + "/apps/", headers, _TIMEOUT_S, tls)
    except NoAnswer as error:
        return f"does not answer: {error}; start the server, or correct the URL"
    if answer.status in (401, 403):
        return f"answered {answer.status}; correct the user and password in the URL"
    if answer.status != 200:
        return f"answered {answer.status} to GET apps/; the URL of a Eureka server mostly ends with /eureka/"
    return None


def _health_key(app: App) -> Path:
    if app.health.command:
        return "health", "command"
    return ("health", "url") if app.health.url else ("port",)


def _app_failure(app: App) -> str | None:
    health = app.health
    if health.command:
        verdict = asyncio.run(_command_verdict(health))
        return None if verdict.healthy else f"{verdict.reason}; start the app, or correct the command"
    if not health.url:
        try:
            socket.create_connection(("localhost", app.port), health.timeout).close()
        except OSError as error:
            reason = error.strerror or error
            return f"nothing accepts on localhost:{app.port} ({reason}); start the app, or correct the port"
        return None
    try:
        answer = http_get(health.url, {}, health.timeout)
    except NoAnswer as error:
        return f"does not answer: {error}; start the app, or correct the URL"
    if answer.status not in health.statuses:
        return f"answered {answer.status}, which app.health.statuses does not count as healthy"
    return None


async def _command_verdict(health: AppHealth) -> Verdict:
    try:
        async with asyncio.timeout(health.timeout):
            return await CommandProbe(health.command).check()
    except TimeoutError:
        return Verdict(False, f"did not end within {format_duration(health.timeout)}")


def _listen_failure(address: Address, key: str) -> str | None:
    try:
        if address.unix_path:
            _try_unix(address.unix_path)
        else:
            _try_tcp(address)
    except OSError as error:
        return str(cannot_listen(str(address), key, error))
    return None


def _try_tcp(address: Address) -> None:
    family, kind, protocol, _, target = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as listener:
        # As the server will: a port with connections of its predecessor in TIME_WAIT is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(target)
        listener.listen(1)


def _try_unix(path: str) -> None:
    directory = FilePath(path).parent
    if not directory.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if not os.access(directory, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    refuse_taken(path)

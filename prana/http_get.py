"""One plain GET for the commands: to a running sidecar, and to what `check --online` tries.

Not `urllib.request`, which would send a loopback URL through the proxy of the environment.
"""

import base64
import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

_MAX_BODY_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes  # the first 16 MiB of it, still in its content coding


class NoAnswer(Exception):
    """Nothing that speaks HTTP answered in time; the text says why, without the URL."""


def http_get(url: str, headers: Mapping[str, str], timeout_s: float, tls: ssl.SSLContext | None = None) -> Answer:
    """GET of an http(s) URL; `user:password@` in it becomes basic authorization. Redirects are not followed.

    `tls` is what the server is verified with, None for the authorities of the system.
    """
    parts = urlsplit(url)
    sent = dict(headers)
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        sent["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=tls)
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
    )
    try:
        connection.request("GET", target, headers=sent)
        response = connection.getresponse()
        return Answer(response.status, response.read(_MAX_BODY_BYTES))
    except TimeoutError:
        raise NoAnswer(f"no answer within {timeout_s:g} s") from None
    except http.client.HTTPException as error:
        raise NoAnswer(f"the answer is not HTTP ({type(error).__name__})") from None
    except OSError as error:
        raise NoAnswer(error.strerror or str(error)) from None
    finally:
        connection.close()

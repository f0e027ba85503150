"""The URL of a Eureka server: what is asked, what is shown, and the credentials that are neither."""

import base64
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_CREDENTIALS = re.compile(r"^([a-z][a-z0-9+.-]*://)?.*@", re.IGNORECASE | re.DOTALL)


def masked(url: str) -> str:
    """The URL with its credentials as `***`, for people.

    Masks up to the last `@` anywhere, not only in the authority: a password with an unescaped `/` must not
    leak just because it makes the URL invalid.
    """
    return _CREDENTIALS.sub(r"\1***@", url)


@dataclass(frozen=True, slots=True)
class Server:
    """One Eureka server."""

    base: str  # without credentials, with exactly one slash at the end
    label: str
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "Server":
        """Raises ValueError, without credentials in it, for an unusable URL."""
        label = masked(url)
        refused = ValueError(f"{label!r} is no Eureka URL; allowed: http(s)://[user:password@]host[:port]/path/")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            # Its message quotes pieces of the URL, and with a stray "/" these are pieces of the password.
            raise refused from None
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            raise refused
        authority = f"[{host}]" if ":" in host else host
        if port is not None:
            authority += f":{port}"
        base = f"{parts.scheme}://{authority}{parts.path.rstrip('/')}/"
        return cls(base, label, _basic(parts.username, parts.password))


def _basic(username: str | None, password: str | None) -> str | None:
    if username is None:
        return None
    plain = f"{unquote(username)}:{unquote(password or '')}"
    return "Basic " + base64.b64encode(plain.encode()).decode("ascii")

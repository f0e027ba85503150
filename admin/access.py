"""Who may see what: five pages are for everybody, the rest for this machine or for holders of the token."""

import hmac
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

OPEN_PATHS = frozenset(
    # The fixed forms show what /metrics?format= shows to everybody, so closing them would protect nothing.
    {"/health", "/livez", "/readyz", "/info", "/metrics", "/metrics.json", "/prometheus"}
)


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int  # 401 or 403
    detail: str


def refusal(peer: str, host: str, authorization: str, token: str) -> Refusal | None:
    """Why this caller may not see everything; None when it may.

    `peer` is the address of the connection, `host` and `authorization` the header values. An empty `token` means
    that nobody can come from beyond loopback. A loopback peer must also have addressed us by a loopback name: a
    browser here may be showing a page whose own name was made to resolve to us (DNS rebinding).
    """
    if token and _is_bearer(authorization, token):
        return None
    if not _is_loopback_address(peer):
        if token:
            return Refusal(401, "from beyond loopback this needs the admin token as a bearer token")
        return Refusal(403, "only for callers on this machine; admin.token opens it to others")
    if not _is_loopback_name(host):
        return Refusal(403, "the Host header must name this machine by a loopback name or address")
    return None


def change_refusal(host: str, origin: str, fetch_site: str) -> Refusal | None:
    """Why this caller may not change anything, even where `refusal` lets it see everything; None when it may.

    The values are those of the Host, Origin and Sec-Fetch-Site headers, "" for none. A browser sends what any page
    makes it send, as if it came from here; but it says then which page that was, and programs say nothing.
    """
    foreign = fetch_site not in ("", "same-origin", "none")
    if origin:
        scheme, _, authority = origin.partition("://")
        foreign = foreign or scheme not in ("http", "https") or authority.lower() != host.lower()
    return Refusal(403, "a page of another origin may change nothing here") if foreign else None


def _is_bearer(authorization: str, token: str) -> bool:
    scheme, _, credentials = authorization.partition(" ")
    # Bytes, because compare_digest refuses other than ASCII text; surrogates, because headers may hold any byte.
    given, wanted = (text.encode("utf-8", "surrogateescape") for text in (credentials.strip(), token))
    return scheme.lower() == "bearer" and hmac.compare_digest(given, wanted)


def _is_loopback_address(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # a dual-stack socket shows 127.0.0.1 as ::ffff:127.0.0.1
    return (mapped or address).is_loopback


def _is_loopback_name(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback_address(name)

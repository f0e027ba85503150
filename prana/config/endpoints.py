"""Kinds of keys that say where something is: addresses, host names, URLs."""

from dataclasses import replace
from urllib.parse import urlsplit

from prana.config import units
from prana.config.kinds import Kind, quoted, string
from prana.config.masking import mask_credentials
from prana.config.units import Address


def ip_address() -> Kind:
    """An IP address, or the empty string for the derived one."""

    def parse(value: object) -> str:
        written = string(value)
        if written and not units.is_ip(written):
            raise ValueError(f'is {quoted(written)}; allowed is an IP address such as "10.0.0.7"')
        return written

    return Kind(parse, {"type": "string"})


def host_name() -> Kind:
    """A host name or address, or the empty string for the derived one."""

    def parse(value: object) -> str:
        written = string(value)
        if written and not units.is_host(written) and not units.is_ip(written):
            raise ValueError(f'is {quoted(written)}; allowed is a host name such as "orders-1.internal"')
        return written

    return Kind(parse, {"type": "string"})


def address(*, lowest_port: int = 0, unix: bool = False) -> Kind:
    """A text such as `"127.0.0.1:8078"`, kept as an `Address`."""

    def parse(value: object) -> Address:
        written = string(value)
        try:
            parsed = units.parse_address(written)
        except ValueError as error:
            raise ValueError(f"{quoted(written)} {error}") from None
        if parsed.unix_path and not unix:
            raise ValueError(f"is {quoted(written)}; a Unix socket is not possible here, write host:port")
        if not parsed.unix_path and parsed.port < lowest_port:
            raise ValueError(f"{quoted(written)} has port {parsed.port}; allowed are {lowest_port} to 65535")
        return parsed

    return Kind(parse, {"type": "string"}, show=str)


def instance() -> Kind:
    """A text such as `"10.0.0.7:8080"`, or `"https://10.0.0.7:8443"` for an instance that is called by TLS."""
    plain = address(lowest_port=1)

    def parse(value: object) -> Address:
        written = string(value)
        secure = written.startswith("https://")
        if ("://" in written and not secure) or written.endswith("/"):
            raise ValueError(f"is {quoted(written)}; allowed is host:port, or https://host:port for TLS")
        parsed = plain.parse(written.removeprefix("https://"))
        assert isinstance(parsed, Address)  # noqa: S101 - what that kind makes; tells mypy
        return replace(parsed, secure=secure)

    return replace(plain, parse=parse)


def http_url(*, optional: bool = True) -> Kind:
    """An http(s) URL; messages do not repeat it, since it may hold credentials."""

    def parse(value: object) -> str:
        written = string(value)
        if (written or not optional) and not _is_http_url(written):
            raise ValueError(
                "is not a URL; allowed is http:// or https:// with a host, such as "
                '"http://localhost:8761/eureka/"; write / and @ in a password as %2F and %40'
            )
        return written

    return Kind(parse, {"type": "string"}, show=mask_credentials)


def eureka_url() -> Kind:
    """The base URL of a Eureka server: paths are put behind it, so it ends with its own."""
    url = http_url(optional=False)

    def parse(value: object) -> object:
        parts = urlsplit(str(url.parse(value)))
        if parts.query or parts.fragment:
            raise ValueError("has a query or fragment; allowed is a URL that ends with its path, such as /eureka/")
        return value

    return replace(url, parse=parse)


def admin_url(written: str) -> str:
    """The URL of an admin port; `host:port` is enough for an address people type. Raises ValueError."""
    url = written if "://" in written else f"http://{written}"
    if not _is_http_url(url):
        raise ValueError("the URL of an admin port is http://host:port, such as http://127.0.0.1:8077")
    return url


def _is_http_url(url: str) -> bool:
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        port = parts.port  # raises for one that is no number or out of range
    except ValueError:
        return False
    host = parts.hostname or ""
    # A password with a bare "/" splits in the wrong place and leaves its rest, with the "@", in the path.
    complete = port != 0 and "@" not in parts.path
    return parts.scheme in ("http", "https") and complete and (units.is_host(host) or units.is_ip(host))

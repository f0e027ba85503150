"""Texts with a unit or a shape: durations, sizes, addresses and status ranges, both ways.

Every parser raises ValueError with a message that names what is wrong and what is allowed.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

_DURATION_UNITS_S = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_SIZE_UNITS_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$"
SIZE_PATTERN = r"^[0-9]+(B|KiB|MiB|GiB)$"
STATUSES_PATTERN = r"^[1-5][0-9]{2}(-[1-5][0-9]{2})?( *, *[1-5][0-9]{2}(-[1-5][0-9]{2})?)*$"

# RFC 1123 labels, and the underscores that container networks put into host names. A label above 63 characters has
# no form in the DNS: the resolver raises UnicodeError for it.
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")


def parse_duration(text: str) -> float:
    """Seconds of `"250ms"`, `"5s"`, `"1.5m"` or `"1h"`."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", text)
    if match is None:
        raise ValueError('is not a duration; write a number and ms, s, m or h, such as "250ms" or "5s"')
    # Decimal, so that "800ms" is the same float as 0.8.
    return float(Decimal(match[1]) * _DURATION_UNITS_S[match[2]])


def format_duration(duration_s: float) -> str:
    milliseconds = Decimal(str(duration_s)) * 1000
    if milliseconds == 0:
        return "0s"
    for unit, factor_s in reversed(_DURATION_UNITS_S.items()):
        amount = milliseconds / (factor_s * 1000)
        if amount == amount.to_integral_value():
            return f"{int(amount)}{unit}"
    return f"{milliseconds.normalize():f}ms"


def parse_size(text: str) -> int:
    """Bytes of `"512B"`, `"64KiB"`, `"1MiB"` or `"1GiB"`."""
    match = re.fullmatch(r"([0-9]+)(B|KiB|MiB|GiB)", text)
    if match is None:
        raise ValueError('is not a size; write a whole number and B, KiB, MiB or GiB, such as "64KiB"')
    return int(match[1]) * _SIZE_UNITS_BYTES[match[2]]


def format_size(size_bytes: int) -> str:
    if size_bytes == 0:
        return "0B"
    unit, factor = next(
        (unit, factor) for unit, factor in reversed(_SIZE_UNITS_BYTES.items()) if size_bytes % factor == 0
    )
    return f"{size_bytes // factor}{unit}"


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address (`host`, `port`; port 0 = any free one), or a Unix socket when `unix_path` is not empty.

    `secure` is an instance that is called by TLS, written with https://.
    """

    host: str = ""
    port: int = 0
    unix_path: str = ""
    secure: bool = False

    def __str__(self) -> str:
        if self.unix_path:
            return f"unix:{self.unix_path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https://' if self.secure else ''}{host}:{self.port}"


def parse_address(text: str) -> Address:
    """`"127.0.0.1:8078"`, `"[::1]:8078"`, `"localhost:8078"` or `"unix:/run/prana.sock"`."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/"):
            raise ValueError('is not a Unix socket; write an absolute path, such as "unix:/run/prana.sock"')
        return Address(unix_path=path)
    match = re.fullmatch(r"(?:\[([^\]]*)\]|([^:\[\]]*)):([0-9]{1,5})", text)
    if match is None:
        raise ValueError('is not an address; write host:port, such as "127.0.0.1:8078"')
    if match[1] is not None:
        _check_ipv6(match[1])
    elif not is_host(match[2]):
        raise ValueError('has no usable host; write host:port, such as "127.0.0.1:8078" or "0.0.0.0:8078"')
    port = int(match[3])
    if port > 65535:
        raise ValueError(f"has port {port}; allowed are 0 to 65535")
    return Address(host=match[1] or match[2], port=port)


def _check_ipv6(host: str) -> None:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise ValueError('has no IPv6 address in [ ]; write it as "[::1]:8078"') from None


def is_host(text: str) -> bool:
    """Whether `text` is a host name or an IPv4 address; digits and dots alone must be a real address."""
    if re.fullmatch(r"[0-9.]+", text):
        return is_ip(text)
    return _HOST.fullmatch(text) is not None


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def parse_statuses(text: str) -> frozenset[int]:
    """HTTP status codes of `"200-299"` or `"200-204, 401"`."""
    statuses: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?\s*", part)
        if match is None:
            raise ValueError('is not a status range; write codes from 100 to 599, such as "200-299" or "200-204,401"')
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise ValueError(f"has an empty range; write {last}-{first}")
        statuses.update(range(first, last + 1))
    return frozenset(statuses)


def format_statuses(statuses: Iterable[int]) -> str:
    ranges: list[list[int]] = []
    for status in sorted(statuses):
        if ranges and ranges[-1][1] == status - 1:
            ranges[-1][1] = status
        else:
            ranges.append([status, status])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)

"""Which instances may be called.

A registry is written by whoever can reach it: Eureka has no authentication of its own. What it lists must not turn
the sidecar into a way to addresses that no instance has, such as the metadata service of the cloud, or the sidecar's
own ports. Instances of the operator's own configuration are not asked about here.
"""

import re
from collections.abc import Callable, Collection, Iterable
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from registry.instance import Instance

Address = IPv4Address | IPv6Address


class Reason(StrEnum):
    """Why an instance is refused."""

    MALFORMED = "malformed"  # control characters in a name, or a host that is neither a name nor an address
    NO_PORT = "no_port"
    LOOPBACK = "loopback"
    UNSPECIFIED = "unspecified"
    LINK_LOCAL = "link_local"
    METADATA = "metadata"
    MULTICAST = "multicast"
    BROADCAST = "broadcast"
    OWN_PORT = "own_port"


_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})", re.ASCII)
# Where clouds serve credentials to whoever asks from inside: AWS, GCP, Azure and most others at the first one.
_METADATA_ADDRESSES = frozenset(
    map(
        ip_address,
        [
            "169.254.169.254",
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # GCP
            "100.100.100.200",  # Alibaba
            "192.0.0.192",  # Oracle
            "168.63.129.16",  # Azure's WireServer
        ],
    )
)
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_THIS_NETWORK = IPv4Network("0.0.0.0/8")
_BROADCAST = IPv4Address("255.255.255.255")
# IPv6 addresses that stand for an IPv4 one in their last 32 bits: mapped, compatible, and NAT64 (RFC 6052).
_EMBEDDING = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
_NOT_EMBEDDING = (IPv6Address("::"), IPv6Address("::1"))


class Trust:
    """The policy. `own_ports` are those of the proxy and the admin server, `is_own` tells this machine's addresses."""

    def __init__(
        self, *, loopback: bool, own_ports: Callable[[], Collection[int]], is_own: Callable[[str], bool]
    ) -> None:
        self._loopback = loopback
        self._own_ports = own_ports
        self._is_own = is_own

    def refusal(self, instance: Instance) -> Reason | None:
        """Why it must not be called as it is registered. A host name is judged again when it is resolved."""
        named = (instance.app, instance.id, instance.host, instance.ip, *instance.vips, *instance.secure_vips)
        if not all(map(str.isprintable, named)):
            return Reason.MALFORMED
        if instance.port == 0 and instance.secure_port == 0:
            return Reason.NO_PORT
        if _address(instance.host) is not None:
            return self._registered_refusal(instance.host, instance)
        return self._name_refusal(instance.host) or self._beside_name(instance)

    def address_refusal(self, ip: str, port: int) -> Reason | None:
        """Why this address, an IP literal, must not be dialled."""
        address = _address(ip)
        if address is None:
            return Reason.MALFORMED
        if reason := _never(address):
            return reason
        # Before the question for loopback, which may be allowed.
        if port in self._own_ports() and (address.is_loopback or self._is_own(str(address))):
            return Reason.OWN_PORT
        return Reason.LOOPBACK if address.is_loopback and not self._loopback else None

    def _registered_refusal(self, ip: str, instance: Instance) -> Reason | None:
        ports = (port for port in (instance.port, instance.secure_port) if port > 0)
        return next(filter(None, (self.address_refusal(ip, port) for port in ports)), None)

    def _name_refusal(self, host: str) -> Reason | None:
        name = host.lower().rstrip(".")
        if not _HOST.fullmatch(host):
            return Reason.MALFORMED
        if name in _METADATA_NAMES:
            return Reason.METADATA
        if (name == "localhost" or name.endswith(".localhost")) and not self._loopback:
            return Reason.LOOPBACK
        return None

    def _beside_name(self, instance: Instance) -> Reason | None:
        """`ipAddr` is the fallback of a name that does not resolve. Loopback there is common and harmless: Debian
        gives it to a machine's own name, and it is not dialled either."""
        if _address(instance.ip) is None:
            return None
        reason = self._registered_refusal(instance.ip, instance)
        return None if reason is Reason.LOOPBACK else reason


def is_loopback_host(host: str) -> bool:
    """Whether a host, as written, is this machine: a loopback address or the name localhost."""
    address = _address(host)
    return address.is_loopback if address is not None else host.lower().rstrip(".") == "localhost"


def trusts_loopback(setting: str, urls: Iterable[str]) -> bool:
    """`auto`, `always` or `never`; auto: while every Eureka server is itself on loopback, as written in its URL."""
    if setting != "auto":
        return setting == "always"
    hosts = [urlsplit(url).hostname or "" for url in urls]
    return bool(hosts) and all(map(is_loopback_host, hosts))


def _address(text: str) -> Address | None:
    """The address that an IP literal means: an IPv4 one inside an IPv6 one counts as itself."""
    try:
        address = ip_address(text.partition("%")[0])  # a zone index (RFC 6874) changes nothing
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    if address.sixtofour is not None:
        return address.sixtofour
    if address not in _NOT_EMBEDDING and any(address in network for network in _EMBEDDING):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _never(address: Address) -> Reason | None:
    """What no instance can have."""
    if address in _METADATA_ADDRESSES:
        return Reason.METADATA
    if address.is_unspecified or address in _THIS_NETWORK:
        return Reason.UNSPECIFIED
    if address.is_link_local:
        return Reason.LINK_LOCAL
    if address.is_multicast:
        return Reason.MULTICAST
    return Reason.BROADCAST if address == _BROADCAST else None

"""From the texts of foreign properties to the text of one of our keys.

Each takes the values of the names in its row, None for one that is not given; at least one is. The answer may be None,
for the key to stay as it is. A text that is not what its name wants raises ValueError, and one that has no equal here
NoCounterpart. What the key itself refuses, such as a number out of its range, is left to it.
"""

import re

from prana.config.kinds import quoted
from prana.config.settings import RIBBON_RULES, CommandRetry

# Ribbon retries a GET only; asked for all operations, also the methods that could do something twice (RFC 9110, 9.2.2).
_SAFE = "GET"
_ALL = "GET,HEAD,OPTIONS,PUT,DELETE,POST,PATCH"
_LONGEST = "1h"
_AFFINITY, _PREFERENCE, _SUBSET = _FILTERS = (
    "ZoneAffinityServerListFilter",
    "ZonePreferenceServerListFilter",
    "ServerListSubsetFilter",
)
_TRUE, _FALSE = ("true", "t", "yes", "y", "on"), ("false", "f", "no", "n", "off")


class Unreadable(ValueError):
    """A value that is not what its name wants."""

    def __init__(self, value: str, wanted: str) -> None:
        super().__init__(f"must be {wanted}, not {quoted(value)}")
        self.value = value


class NoCounterpart(Exception):
    """Why a value that is fine by itself has no equal here."""


def first(*values: str | None) -> str:
    """The first that is given, as it is."""
    return next(value for value in values if value is not None)


def milliseconds(value: str) -> str:
    return f"{_whole(value, 'milliseconds')}ms"


def seconds(value: str) -> str:
    return f"{_whole(value, 'seconds')}s"


def _whole(value: str, unit: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", value):
        raise Unreadable(value, f"a whole number of {unit}")
    return int(value)


def truth(value: str | None) -> bool:
    """Archaius and Spring take these words for booleans; one that is not given is false."""
    if value is None:
        return False
    if value.lower() not in _TRUE + _FALSE:
        raise Unreadable(value, "true or false")
    return value.lower() in _TRUE


def flag(value: str) -> str:
    return "true" if truth(value) else "false"


def unless_disabled(value: str | None, enabled: str | None) -> str | None:
    """What one part does, where the whole is not disabled."""
    if enabled is not None and not truth(enabled):
        return "false"
    return None if value is None else flag(value)


def limit(value: str) -> str:
    """Java's largest int stands for no limit."""
    return "0" if value == str(2**31 - 1) else value


def forced(force_open: str | None, force_closed: str | None) -> str:
    if truth(force_open):
        return "open"
    return "closed" if truth(force_closed) else "none"


def hystrix_timeout(timeout: str | None, enabled: str | None) -> str | None:
    """Without a timeout as long as there can be one here."""
    if enabled is not None and not truth(enabled):
        return _LONGEST
    return None if timeout is None else milliseconds(timeout)


def retries(next_servers: str | None, same_server: str | None) -> str:
    """All of them together: Ribbon tries each of its servers as often as it retries at the same one, and once."""
    others, same = _whole(next_servers or "1", "retries"), _whole(same_server or "0", "retries")
    return str((1 + others) * (1 + same) - 1)


def same_server_retries(same_server: str) -> str:
    return str(_whole(same_server, "retries"))


def longest_backoff(value: str) -> str | None:
    """No wait is longer than max_backoff, not even the first."""
    return milliseconds(value) if _whole(value, "milliseconds") > CommandRetry().max_backoff * 1000 else None


def retried_methods(all_operations: str) -> str:
    return _ALL if truth(all_operations) else _SAFE


def servers(listed: str) -> str:
    """`host`, `host:port` and their URLs, comma separated, as Ribbon's Server reads them."""
    return ",".join(_server(each.strip()) for each in listed.split(",") if each.strip())


def _server(written: str) -> str:
    scheme, _, rest = written.rpartition("://")
    authority = rest.partition("/")[0]
    secure = scheme.lower() == "https"
    with_port = authority if re.search(r":[0-9]*$", authority) else f"{authority}:{443 if secure else 80}"
    return f"https://{with_port}" if secure else with_port


def rule(class_name: str) -> str:
    name = _short(class_name)
    if name not in RIBBON_RULES:
        raise NoCounterpart(f"{name} is none of Ribbon's own rules, which are {', '.join(RIBBON_RULES)}")
    return name


def zone_filter(affinity: str | None, exclusivity: str | None, class_name: str | None) -> str:
    """Ribbon's filter keeps to the own zone only where one of the two says so; Spring's always does."""
    name = _short(class_name or _AFFINITY)
    if name not in _FILTERS:
        raise NoCounterpart(f"{name} is none of the filters of Ribbon and Spring, which are {', '.join(_FILTERS)}")
    if name == _PREFERENCE:
        return "preference"
    if truth(exclusivity):
        return "exclusivity"
    return "affinity" if truth(affinity) else "none"


def subset(size: str | None, class_name: str | None) -> str | None:
    if _short(class_name or _AFFINITY) == _SUBSET:
        return size or "20"
    if size is None:
        return None
    raise NoCounterpart(f"it counts only with NIWSServerListFilterClassName={_SUBSET}")


def _short(class_name: str) -> str:
    return class_name.rpartition(".")[2]


def tls_mode(secure: str) -> str:
    return "always" if truth(secure) else "never"


def eager_load(clients: str | None, enabled: str | None) -> str | None:
    return clients if truth(enabled) else None


def secure_port(port: str | None, enabled: str | None) -> str:
    return (port or "443") if truth(enabled) else "0"


def first_of_list(listed: str) -> str:
    return listed.partition(",")[0].strip()


def dns_domain(domain: str | None, other_domain: str | None, use_dns: str | None) -> str:
    if not truth(use_dns):
        return ""
    if found := domain or other_domain:
        return found
    raise NoCounterpart("the domain is missing")


def spring_dns_domain(domain: str | None, use_dns: str | None) -> str:
    return dns_domain(domain, None, use_dns)


def context_path(*contexts: str | None) -> str:
    return f"/{first(*contexts).strip('/')}/"


def any_address(port: str) -> str:
    """Java listens on every address."""
    return f"0.0.0.0:{port}"

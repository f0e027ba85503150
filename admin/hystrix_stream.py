"""The texts of Hystrix's three event streams.

Each is given in pieces, so that whoever builds it for a thousand commands can pause in between. A moment that is only
known when a piece is sent is written as NOW.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Final

import msgspec

from admin.hystrix import command_fields, pool_fields
from admin.hystrix_config import command_config, pool_config, pool_utilization
from admin.views import Sources

NOW: Final = b"\0"
"""Stands for the epoch milliseconds at which a piece is sent. JSON has no such byte, it escapes control characters."""

_NOW = msgspec.Raw(NOW)
_encode = msgspec.json.Encoder().encode


def dashboard_events(sources: Sources) -> Iterator[bytes]:
    """/hystrix.stream: an event for each command and each pool."""
    commands = (command_fields(command, _NOW) for command in sources.commands())
    pools = (pool_fields(pool, _NOW) for pool in sources.pools())
    for fields in chain(commands, pools):
        yield b"data: %b\n\n" % _encode(fields)


def config_event(sources: Sources) -> Iterator[bytes]:
    """/hystrix/config.stream: one event, the settings in force."""
    yield b'data: {"type":"HystrixConfig","commands":{'
    yield from _members((command.key, command_config(command)) for command in sources.commands())
    yield b'},"threadpools":{'
    yield from _members((pool.name, pool_config(pool)) for pool in sources.pools())
    yield b'},"collapsers":{}}\n\n'


def utilization_event(sources: Sources) -> Iterator[bytes]:
    """/hystrix/utilization.stream: one event, what is in use."""
    yield b'data: {"type":"HystrixUtilization","commands":{'
    yield from _members((command.key, {"activeCount": command.in_flight}) for command in sources.commands())
    yield b'},"threadpools":{'
    yield from _members((pool.name, pool_utilization(pool)) for pool in sources.pools())
    yield b"}}\n\n"


def _members(entries: Iterator[tuple[str, dict[str, object]]]) -> Iterator[bytes]:
    """The members of a JSON object, without its braces."""
    for index, (name, value) in enumerate(entries):
        yield b"%b%b:%b" % (b"," if index else b"", _encode(name), _encode(value))

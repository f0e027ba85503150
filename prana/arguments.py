"""The command line as argparse knows it: every command, its flags, and what they stand for."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from prana.config.endpoints import admin_url
from prana.config.sources import FlagValue
from prana.config.units import Address, parse_address, parse_duration

# A flag that is short for one key: flag, key, metavar. Those of a list may be repeated.
_SHORTCUTS = (
    ("--app", "app.name", "NAME"),
    ("--app-port", "app.port", "N"),
    ("--eureka", "eureka.urls", "URL"),
    ("--listen", "proxy.listen", "ADDR"),
    ("--admin-listen", "admin.listen", "ADDR"),
    ("--log-level", "log.level", "LEVEL"),
    ("--log-format", "log.format", "FORMAT"),
)
_REPEATABLE = ("eureka.urls", "proxy.listen")
_MIN_INTERVAL_S = 0.01


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """`command` of the result is the words of the command; wrong usage raises SystemExit(2) after saying why."""
    return _parser().parse_args(argv)


def flag_values(args: argparse.Namespace) -> list[FlagValue]:
    """The settings given by flags; `--set` after the shortcuts, so that it is the stronger."""
    values = []
    for flag, key, _ in _SHORTCUTS:
        given = getattr(args, key)
        if given is not None:
            values.append(FlagValue(flag, key, tuple(given) if key in _REPEATABLE else given))
    return [*values, *args.set]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="prana", description="A Eureka sidecar for apps in any language.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    file, settings, sidecar, machine = _file_flags(), _settings_flags(), _sidecar_flags(), _machine_flags()

    run = _command(commands, "run", "run the sidecar beside an app", file, settings)
    run.add_argument(
        "--replace",
        action="store_true",
        help="take over from the sidecar at shutdown.hand_over without refusing a call; start as usual if none runs",
    )
    demo = _command(commands, "demo", "registry, sample instances, sidecar and light traffic, all on this machine")
    for flag, port, what in (
        ("--registry-port", 8761, "of the embedded registry"),
        ("--port", 8078, "of the sidecar"),
        ("--admin-port", 8077, "of its admin pages"),
        ("--instances-port", 9001, "of the first sample instance; the others follow"),
    ):
        demo.add_argument(flag, type=_port, default=port, metavar="N", help=f"port {what}; default {port}")
    _add_registry_flags(
        _command(commands, "registry", "the embedded Eureka-compatible registry alone, for development and tests")
    )
    check = _command(commands, "check", "every problem of a configuration at once", file, settings)
    check.add_argument("--online", action="store_true", help="also try Eureka, the app and the ports")

    config = commands.add_parser("config", help="the effective configuration, its schema, a starter file")
    config_commands = config.add_subparsers(metavar="COMMAND", required=True)
    show = _command(
        config_commands, "config show", "the effective configuration, secrets masked", file, settings, machine
    )
    show.add_argument("--origin", action="store_true", help="where each value comes from")
    _command(config_commands, "config schema", "JSON Schema of the file, for editors")
    _command(config_commands, "config init", "a commented starter file, on standard output")

    _command(commands, "status", "a running sidecar: ready or not, and its services", file, sidecar, machine)
    hosts = _command(
        commands, "hosts", "the instances of a service, as a running sidecar sees them", file, sidecar, machine
    )
    hosts.add_argument("service", metavar="SERVICE")
    explain = _command(commands, "explain", "not available yet: what happened to a request", file, sidecar, machine)
    explain.add_argument("request_id", metavar="REQUEST_ID")
    _command(commands, "healthcheck", "exit 0 when a running sidecar is ready, 1 when not", file, sidecar)
    _command(commands, "version", "version, Python, parser and event loop in use", machine)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    words: str,
    about: str,
    *flags: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(words.split()[-1], help=about, description=about, parents=flags, allow_abbrev=False)
    parser.set_defaults(command=words)
    return parser


def _add_registry_flags(registry: argparse.ArgumentParser) -> None:
    """The defaults suit development; those of Netflix's server are named beside them."""
    registry.add_argument(
        "--listen", type=_address, default="127.0.0.1:8761", metavar="ADDR", help="default %(default)s"
    )
    registry.add_argument(
        "--lease-expiry",
        choices=("plain", "strict"),
        default="plain",
        help="an instance goes one lease duration after its last heartbeat (plain, the default) or two (strict, as "
        "Netflix's server)",
    )
    registry.add_argument(
        "--self-preservation",
        action="store_true",
        help="nothing expires while far fewer heartbeats arrive than should; default: off (Netflix: on)",
    )
    for flag, kind, default, what in (
        ("--eviction-interval", _interval, "1s", "how often expired instances are removed; default 1s (Netflix: 1m)"),
        ("--response-cache-interval", _duration, "0s", "how often lists change; default 0s: at once (Netflix: 30s)"),
        ("--delta-retention", _duration, "3m", "how long the delta shows a change; default 3m (as Netflix)"),
    ):
        registry.add_argument(flag, type=kind, default=default, metavar="TIME", help=what)


def _file_flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(add_help=False)
    about = "TOML file, or .properties; default ./prana.toml if it exists"
    flags.add_argument("-c", "--config", type=Path, metavar="FILE", help=about)
    return flags


def _settings_flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(add_help=False)
    for flag, key, metavar in _SHORTCUTS:
        repeatable = key in _REPEATABLE
        about = f"{key}; may be repeated" if repeatable else key
        flags.add_argument(flag, dest=key, action="append" if repeatable else "store", metavar=metavar, help=about)
    flags.add_argument(
        "--set", type=_setting, action="append", default=[], metavar="KEY=VALUE", help="any key, such as log.access=all"
    )
    return flags


def _sidecar_flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument("--admin", type=_url, metavar="URL", help="its admin port; default: as configured")
    return flags


def _machine_flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument("--json", action="store_true", help="for machines")
    return flags


def _setting(text: str) -> FlagValue:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no setting; write KEY=VALUE, such as log.access=all")
    return FlagValue("--set", key.strip(), value)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None


def _interval(text: str) -> float:
    duration_s = _duration(text)
    if duration_s < _MIN_INTERVAL_S:
        raise argparse.ArgumentTypeError(f"{text!r} is too short; allowed are {_MIN_INTERVAL_S * 1000:.0f}ms and more")
    return duration_s


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; allowed are 1 to 65535")
    return int(text)


def _address(text: str) -> Address:
    try:
        address = parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None
    if address.unix_path:
        raise argparse.ArgumentTypeError("a Unix socket is not possible here; write host:port")
    return address


def _url(text: str) -> str:
    try:
        return admin_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None

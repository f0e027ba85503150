"""The `prana` command: arguments in, exit code out.

0 ok; 1 could not start, or a check failed; 2 wrong usage; 130 after a second Ctrl-C. What a command needs is
imported in the command, so that `prana healthcheck` does not pay for the sidecar.
"""

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from importlib.metadata import version
from pathlib import Path

from prana import __version__, early
from prana.arguments import flag_values, parse
from prana.ask import AskError, Sidecar, admin_url, hosts_text, status_text
from prana.config import ConfigError, Loaded, endpoints, load
from prana.config.sources import Problem, dotted
from prana.startup import StartupError

_DEFAULT_FILE = Path("prana.toml")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; wrong usage raises SystemExit(2), as argparse does."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["run"] and "--" in arguments:
        return _usage_error("running the app with `prana run -- CMD` is not available yet; start the app by itself")
    args = parse(arguments)
    try:
        code = _COMMANDS[args.command](args)
        sys.stdout.flush()
    except ConfigError as error:
        return _failure(str(error))
    except (AskError, StartupError) as error:
        return _failure(f"prana: {error}")
    except KeyboardInterrupt:  # the first one is a command's own to handle, where there is something to end
        return 0 if args.command in early.SERVING else 130
    except BrokenPipeError:  # `prana config show | head` has seen enough; the flush at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _failure(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


def _usage_error(message: str) -> int:
    print(f"prana: {message}", file=sys.stderr)
    return 2


def _run(args: Namespace) -> int:
    loaded = _load(args)
    _print_warnings(loaded.warnings)
    from prana import app, logs
    from prana.journal import log_without_counterpart

    settings = loaded.settings
    if args.replace and not settings.shutdown.hand_over:
        return _usage_error("--replace needs shutdown.hand_over, the path where the running sidecar hands over")
    sink = logs.configure(settings.log.level, settings.log.format, sys.stderr)
    log_without_counterpart([problem.origin.place for problem in loaded.without_counterpart])
    try:
        code = app.run(settings, replace=args.replace)
    finally:
        sink.close()  # before anything else is said: its thread writes to standard error as well
    os._exit(code)  # see app.run


def _demo(args: Namespace) -> int:
    from prana.demo import main as demo

    return demo.run(
        registry_port=args.registry_port,
        port=args.port,
        admin_port=args.admin_port,
        instances_port=args.instances_port,
    )


def _registry(args: Namespace) -> int:
    from prana import registry_server

    return registry_server.run(args.listen, registry_server.settings_of(args))


def _check(args: Namespace) -> int:
    try:
        loaded = _load(args)
    except ConfigError as error:
        print(error)
        return 1
    _print_warnings([*loaded.warnings, *loaded.without_counterpart])
    if args.online:
        from prana.config.online import online_problems

        problems = list(online_problems(loaded))
        for problem in problems:
            print(problem)
        if problems:
            return 1
    print(f"ok: {_file(args) or 'no file, defaults only'}")
    return 0


def _config_show(args: Namespace) -> int:
    from prana.config.show import effective, nested

    loaded = _load(args)
    if args.json:
        rows = [{"key": dotted(path), "value": value, "origin": origin} for path, value, origin in effective(loaded)]
        _print_json(rows if args.origin else nested(loaded))
        return 0
    for path, value, origin in effective(loaded):
        line = f"{dotted(path)} = {json.dumps(value, ensure_ascii=False, default=str)}"
        print(f"{line:<60} # {origin}" if args.origin else line)
    return 0


def _config_schema(args: Namespace) -> int:
    from prana.config.show import json_schema

    _print_json(json_schema())
    return 0


def _config_init(args: Namespace) -> int:
    print(resources.files("prana.config").joinpath("starter.toml").read_text(), end="")
    return 0


def _status(args: Namespace) -> int:
    sidecar = _sidecar(args)
    ready, conditions = sidecar.ready()
    services = sidecar.services()
    if args.json:
        _print_json({"ready": ready, "conditions": conditions, "services": services})
    else:
        print(status_text(sidecar.url, ready, conditions, services))
    return 0


def _hosts(args: Namespace) -> int:
    service = _sidecar(args).service(args.service)
    if args.json:
        _print_json(service["balancer"]["nodes"])
    else:
        print(hosts_text(service))
    return 0


def _healthcheck(args: Namespace) -> int:
    ready, conditions = _sidecar(args).ready()
    print("ready" if ready else "\n".join(["not ready", *conditions]))
    return 0 if ready else 1


def _explain(args: Namespace) -> int:
    return _usage_error("`prana explain` is not available yet; send X-Prana-Explain: 1 from loopback instead")


def _version(args: Namespace) -> int:
    versions = {
        "prana": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "parser": "own HTTP parser",
        "event_loop": f"uvloop {version('uvloop')}",
    }
    if args.json:
        _print_json(versions)
    else:
        print("prana {prana} on Python {python}, {parser}, {event_loop}".format_map(versions))
    return 0


def _print_json(document: object) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def _print_warnings(warnings: Sequence[Problem]) -> None:
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _file(args: Namespace) -> Path | None:
    """The file of -c, else ./prana.toml when there is one."""
    file: Path | None = args.config
    return file or (_DEFAULT_FILE if _DEFAULT_FILE.exists() else None)


def _load(args: Namespace) -> Loaded:
    return load(_file(args), os.environ, flag_values(args))


def _sidecar(args: Namespace) -> Sidecar:
    """The one that --admin names, else PRANA_ADMIN_URL, else the one with this configuration."""
    settings = load(_file(args), os.environ).settings
    url = args.admin or _url_of_environment() or admin_url(settings)
    return Sidecar(url, settings.admin.token)


def _url_of_environment() -> str:
    written = os.environ.get("PRANA_ADMIN_URL", "")
    try:
        return endpoints.admin_url(written) if written else ""
    except ValueError as error:
        raise AskError(f"PRANA_ADMIN_URL: {error}") from None


_COMMANDS: Mapping[str, Callable[[Namespace], int]] = {
    "run": _run,
    "demo": _demo,
    "registry": _registry,
    "check": _check,
    "config show": _config_show,
    "config schema": _config_schema,
    "config init": _config_init,
    "status": _status,
    "hosts": _hosts,
    "explain": _explain,
    "healthcheck": _healthcheck,
    "version": _version,
}

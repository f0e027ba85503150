"""`prana registry`: the embedded Eureka server alone, until a signal."""

import asyncio
import sys
from argparse import Namespace

import uvloop

from prana import logs
from prana.config.units import Address
from prana.signals import Stop
from prana.startup import listening
from registry.server import RegistrySettings, serve


def settings_of(args: Namespace) -> RegistrySettings:
    """The flags of the command, as `prana.arguments` parsed them."""
    return RegistrySettings(
        strict_leases=args.lease_expiry == "strict",
        self_preservation=args.self_preservation,
        eviction_interval_s=args.eviction_interval,
        response_cache_interval_s=args.response_cache_interval,
        delta_retention_s=args.delta_retention,
    )


def run(listen: Address, settings: RegistrySettings) -> int:
    """Until SIGINT or SIGTERM. Returns the exit code; raises StartupError."""
    logs.configure("info", "auto", sys.stderr)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(listen, settings))


async def _run(listen: Address, settings: RegistrySettings) -> int:
    stop = Stop(drain_delay_s=0.0)
    with stop.installed():
        server = await listening(serve(listen.host, listen.port, settings), str(listen), "--listen")
        about = f"Eureka for development and tests at {server.url}; production wants a Eureka cluster."
        print(about, flush=True)  # noqa: T201 - what this command has to say
        await stop.requested.wait()
        await server.close()
    return 0

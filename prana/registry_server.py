"""`prana registry`: the embedded Eureka server alone, until a signal."""

import asyncio
import sys

import uvloop

from prana import logs
from prana.config.units import Address
from prana.signals import Stop
from prana.startup import listening
from registry.server.runner import serve


def run(listen: Address) -> int:
    """Until SIGINT or SIGTERM. Returns the exit code; raises StartupError."""
    logs.configure("info", "auto", sys.stderr)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(listen))


async def _run(listen: Address) -> int:
    stop = Stop(drain_delay_s=0.0)
    with stop.installed():
        server = await listening(serve(listen.host, listen.port), str(listen), "--listen")
        about = f"Eureka for development and tests at {server.url}; production wants a Eureka cluster."
        print(about, flush=True)  # noqa: T201 - what this command has to say
        await stop.requested.wait()
        await server.close()
    return 0

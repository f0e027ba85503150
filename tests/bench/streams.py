"""How long /hystrix.stream stalls the loop: `python -m tests.bench.streams [COMMANDS [LISTENERS [SECONDS]]]`.

A sidecar with so many services runs here, its listeners read in another process, and each turn of the loop is timed: by
the clock, which counts other programs on the machine too, and by processor time, which does not. The bar of 5 ms is for
the latter, and for the clock on a machine with nothing else to do.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapreplace

import structlog
import uvloop

from prana.app import Sidecar, _spare_the_collector
from prana.config.settings import Admin, Eureka, Proxy, ServicePolicy, Settings, Shutdown
from prana.config.units import Address
from prana.signals import Stop

_BAR_MS = 5.0
_DEFAULTS = (1000, 5, 10)
_HERE = Address("127.0.0.1", 0)


class Longest:
    """The longest of many durations, in milliseconds. To keep them all would stall the loop by itself."""

    def __init__(self) -> None:
        self._kept = [0.0] * 10

    def add(self, duration_s: float) -> None:
        if duration_s > self._kept[0]:
            heapreplace(self._kept, duration_s)

    @property
    def ms(self) -> float:
        return max(self._kept) * 1e3

    def __str__(self) -> str:
        return f"{self.ms:.2f} ms (tenth longest {self._kept[0] * 1e3:.2f})"


@dataclass
class Turns:
    """Of the loop."""

    clock: Longest = field(default_factory=Longest)
    processor: Longest = field(default_factory=Longest)

    def __str__(self) -> str:
        return f"longest turn {self.clock} by the clock, {self.processor} of processor time"


async def timed(duration_s: float) -> Turns:
    """Time each turn while something else goes on; this makes turns by itself, so that none is spent waiting."""
    turns = Turns()
    clock_s, processor_s = time.perf_counter(), time.thread_time()
    ends_s = clock_s + duration_s
    while clock_s < ends_s:
        await asyncio.sleep(0)
        now_s, used_s = time.perf_counter(), time.thread_time()
        turns.clock.add(now_s - clock_s)
        turns.processor.add(used_s - processor_s)
        clock_s, processor_s = now_s, used_s
    return turns


async def measure(commands: int, listeners: int, duration_s: float) -> bool:
    services = {f"service-{number}": ServicePolicy(instances=(Address("127.0.0.1", 9),)) for number in range(commands)}
    sidecar = Sidecar(
        Settings(
            eureka=Eureka(urls=()),
            proxy=Proxy(listen=(_HERE,)),
            admin=Admin(listen=_HERE),
            shutdown=Shutdown(drain_delay=0, grace=0),
            services=services,
        )
    )
    stop = Stop(0)
    await sidecar.start()
    running = asyncio.create_task(sidecar.run(stop))
    _spare_the_collector()
    print(f"alone:           {await timed(duration_s)}", flush=True)
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __spec__.name, "--read", str(sidecar.admin_port), str(listeners), str(duration_s + 1)
    )
    turns = await timed(duration_s)
    print(f"{listeners} listeners:     {turns}", flush=True)
    await reader.wait()
    stop.requested.set()
    await running
    return turns.processor.ms < _BAR_MS


async def read(port: int, listeners: int, duration_s: float) -> None:
    """Listen, and say what came."""

    async def one() -> tuple[int, int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        writer.write(b"GET /hystrix.stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        frames = received_bytes = 0
        try:
            async with asyncio.timeout(duration_s):
                while data := await reader.read(2**18):
                    received_bytes += len(data)
                    frames += data.count(b'data: {"type":"HystrixCommand"')
        except TimeoutError:
            writer.close()
        return frames, received_bytes

    for frames, received_bytes in await asyncio.gather(*(one() for _ in range(listeners))):
        rate = frames / duration_s
        print(f"  a listener:    {rate:,.0f} commands and {received_bytes / duration_s / 1e6:.2f} MB a second")


def main(arguments: Sequence[str]) -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if arguments[:1] == ["--read"]:
        port, readers, seconds = arguments[1:]
        uvloop.run(read(int(port), int(readers), float(seconds)))
        return 0
    commands, listeners, duration_s = [*map(int, arguments), *_DEFAULTS[len(arguments) :]]
    return 0 if uvloop.run(measure(commands, listeners, duration_s)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

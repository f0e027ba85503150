"""Linkerd's experiment against real instances: 11 of them behind a real sidecar, one slow or failing half of the time.

What the simulation cannot show: connections, timers and a busy event loop take part. Columns A (the faulty instance
takes 2 s) and D (it answers 500 at once), each with the balancing rule alone and with Prana as it is configured out of
the box. A request succeeds when it is answered with 200 within a second of the moment it was due.

python -m tests.sim.live [--rate N] [--seconds N]
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random

import aiohttp
import uvloop

INSTANCES = 11
GOOD_S, DEVIATION_S = 0.167, 0.005
FAULTY_FROM, FAULTY_UNTIL = 0.25, 0.75  # of the whole time
SLOW_S = 2.0
PATIENCE_S = 1.0
PRANA = Path(sys.executable).with_name("prana")
RULE_ALONE = {"breaker": {"enabled": False}, "eject": {"max_ejected_percent": 0}, "retry": {"max_retries": 0}}


class Instances:
    """All of them in this process; the first has the fault while there is one."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.fault = ""  # "slow" or "failing"
        self._servers: list[asyncio.Server] = []

    @property
    def ports(self) -> list[int]:
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    async def open(self) -> None:
        for number in range(INSTANCES):

            async def serve(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faulty: bool = number == 0
            ) -> None:
                await self._serve(reader, writer, faulty)

            self._servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faulty: bool) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                fault = self.fault if faulty else ""
                if fault != "failing":
                    await asyncio.sleep(SLOW_S if fault == "slow" else self._rng.gauss(GOOD_S, DEVIATION_S))
                status = b"500 Internal Server Error" if fault == "failing" else b"200 OK"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    def close(self) -> None:
        for server in self._servers:
            server.close()


@contextlib.asynccontextmanager
async def sidecar(ports: Sequence[int], policy: dict[str, object]) -> AsyncIterator[int]:
    """A sidecar for these instances; gives its port."""
    service = {"instances": [f"127.0.0.1:{port}" for port in ports], **policy}
    options = {"eureka.urls": [], "proxy.listen": ["127.0.0.1:0"], "admin.listen": "127.0.0.1:0", "log.format": "json"}
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "prana.toml"
        file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in options.items()) + _toml(service))
        process = await asyncio.create_subprocess_exec(
            PRANA, "run", "-c", file, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            yield await _listening_port(process)
        finally:
            process.kill()
            await process.wait()


def _toml(service: dict[str, object]) -> str:
    tables = {name: keys for name, keys in service.items() if isinstance(keys, dict)}
    lines = [f"services.orders.{key} = {json.dumps(value)}" for key, value in service.items() if key not in tables]
    lines += [
        f"services.orders.{name}.{key} = {json.dumps(value)}" for name in tables for key, value in tables[name].items()
    ]
    return "\n".join(lines) + "\n"


async def _listening_port(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None
    seen = b""
    async for line in process.stdout:
        seen += line
        if b'"listening"' in line:
            return int(str(json.loads(line)["proxy"][0]).rpartition(":")[2])
    raise RuntimeError(f"the sidecar ended: {seen.decode(errors='replace')}")


async def success_percent(fault: str, policy: dict[str, object], rate_per_s: float, seconds: float) -> float:
    rng = Random(1)
    instances = Instances(rng)
    await instances.open()
    good = asked = 0

    async def ask(session: aiohttp.ClientSession, url: str, due_s: float) -> None:
        nonlocal good
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(url) as response:
                good += response.status == 200 and time.monotonic() - due_s <= PATIENCE_S

    async with sidecar(instances.ports, policy) as port:
        timeout, connector = aiohttp.ClientTimeout(total=10), aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session, asyncio.TaskGroup() as group:
            url = f"http://127.0.0.1:{port}/orders/x"
            start_s = due_s = time.monotonic()
            while due_s < start_s + seconds:
                await asyncio.sleep(due_s - time.monotonic())
                faulty = FAULTY_FROM <= (due_s - start_s) / seconds < FAULTY_UNTIL
                instances.fault = fault if faulty else ""
                group.create_task(ask(session, url, due_s))
                asked += 1
                due_s += rng.expovariate(rate_per_s)
    instances.close()
    return 100 * good / asked


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second (300)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each run (60)")
    arguments = parser.parse_args()
    print(
        f"{INSTANCES} instances, {arguments.rate:g} requests a second for {arguments.seconds:g} s; percent that succeed"
    )
    print(f"{'':32} {'A slow':>8} {'D failing':>10}")
    for name, policy in (
        ("RoundRobinRule alone", RULE_ALONE | {"balancer": {"rule": "RoundRobinRule"}}),
        ("p2c-ewma alone", RULE_ALONE),
        ("Prana's defaults", {}),
    ):
        percents = [
            await success_percent(fault, policy, arguments.rate, arguments.seconds) for fault in ("slow", "failing")
        ]
        print(f"{name:32} {percents[0]:8.2f} {percents[1]:10.2f}", flush=True)


if __name__ == "__main__":
    uvloop.run(main())

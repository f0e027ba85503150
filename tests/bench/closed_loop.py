"""wrk: as many requests as a peer answers, and what they cost it."""

import itertools
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.bench.samples import MIB, Figures, RunError
from tests.bench.scenarios import ClosedLoop
from tests.bench.target import Target

_SCRIPT = Path(__file__).with_name("wrk.lua")
_WARM_UP_S = 1
_MEMORY_AT = 0.7  # of the run
_GRACE_S = 20.0
_RUN = itertools.count(time.time_ns() // 1000)  # no request of one run was seen in another


def measure(wrk: str, target: Target, scenario: ClosedLoop, seconds: int) -> Figures:
    """Speed, latency, CPU time and memory. A run with a single error is a RunError and not a result."""
    _load(wrk, target, scenario, _WARM_UP_S)  # connections, pools and caches as after some time
    server = target.server
    cpu_before_s = server.cpu_s if server else 0.0
    result, resident_bytes = _load(wrk, target, scenario, seconds)
    figures = {
        "per_s": result["requests"] / (result["duration_us"] / 1e6),
        "p50_ms": result["p50_us"] / 1e3,
        "p99_ms": result["p99_us"] / 1e3,
    }
    if server:
        figures["cpu_us"] = (server.cpu_s - cpu_before_s) * 1e6 / result["requests"]
        figures["loaded_mib"] = resident_bytes / MIB
    return figures


def result_of(output: str, answer_bytes: int) -> dict[str, Any]:
    """The line of JSON that `wrk.lua` prints. Fewer bytes than the answers have also count as an error."""
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    errors = [f"{count} {name} errors" for name, count in result["errors"].items() if count]
    if errors:
        raise RunError(", ".join(errors))
    if not result["requests"]:
        raise RunError("not a single answer")
    if result["bytes"] < result["requests"] * answer_bytes:
        raise RunError(f"{result['requests']} answers of {answer_bytes} bytes were {result['bytes']} bytes in all")
    return result


def _load(wrk: str, target: Target, scenario: ClosedLoop, seconds: int) -> tuple[dict[str, Any], int]:
    """What wrk counted, and the peer's resident bytes while it was under load."""
    kind = scenario.kind
    url = f"http://127.0.0.1:{target.port}{target.path(kind)}"
    options = ["-t1", f"-c{scenario.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(_SCRIPT)]
    command = [wrk, *options, url, "--", kind.name, str(next(_RUN))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as load:
        try:
            time.sleep(seconds * _MEMORY_AT)
            resident_bytes = target.server.resident_bytes if target.server else 0
            output, _ = load.communicate(timeout=seconds + _GRACE_S)
        except subprocess.TimeoutExpired:
            raise RunError(f"wrk did not end within {_GRACE_S} s of its time") from None
        finally:
            load.kill()  # has ended by now, but for a failure or a Ctrl-C
    if load.returncode:
        raise RunError(f"wrk: {output.strip()}")
    return result_of(output, len(kind.answer)), resident_bytes

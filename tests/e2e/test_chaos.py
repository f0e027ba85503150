"""Instances are killed, frozen and restarted under traffic; what was promised to callers still holds.

Each POST has an id and each instance writes down those it took. A joined ledger is the only proof that nothing was
done twice: a status code tells nothing about it.
"""

import signal
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

import pytest

from tests.e2e.conftest import StartApp, StartSidecar
from tests.e2e.eureka import Eureka
from tests.e2e.processes import App, Sidecar, call, until

RATE_PER_S = 20
INSTANCES = 3
DEADLINE_S = 10.0  # the default timeout
LATE_S = 2.0  # what a busy machine may add to it
MAX_CONCURRENT = 300  # more than can be under way: RATE_PER_S * DEADLINE_S


@dataclass(frozen=True)
class Result:
    method: str
    id: str
    status: int  # 0: no answer
    said: str  # what a failure said about itself
    duration_s: float


class Disturbance(threading.Thread):
    """Kills, freezes and restarts, by a seeded schedule; at least one instance is left in peace at any time."""

    def __init__(self, apps: list[App], seed: int) -> None:
        super().__init__(daemon=True)
        self._apps = apps
        self._rng = Random(seed)
        self._stop_requested = threading.Event()
        self.done: Counter[str] = Counter()

    def run(self) -> None:
        while not self._stop_requested.wait(self._rng.uniform(0.5, 2.0)):
            victims = self._rng.sample(self._apps, self._rng.choice([1, 1, 2]))
            for app in victims:
                self._hurt(app, self._rng.choice(["kill", "kill", "freeze"]))
            self._stop_requested.wait(self._rng.uniform(0.5, 7.0))  # attempts time out after 5 s
            for app in victims:
                app.signal(signal.SIGCONT)
                if not app.running:
                    app.start()

    def _hurt(self, app: App, how: str) -> None:
        self.done[how] += 1
        if how == "kill":
            app.kill()
        else:
            app.signal(signal.SIGSTOP)

    def finish(self) -> None:
        """Returns when every instance is well again."""
        self._stop_requested.set()
        self.join()


@pytest.mark.parametrize(
    ("duration_s", "seed"),
    [
        pytest.param(30, 1, id="short"),
        pytest.param(300, 2, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
def test_callers_hardly_notice_that_instances_fail(
    embedded: Eureka, start_app: StartApp, start_sidecar: StartSidecar, duration_s: int, seed: int
) -> None:
    service = f"chaos-{uuid.uuid4().hex[:8]}"
    apps = [start_app(service) for _ in range(INSTANCES)]
    for app in apps:
        # Not kept alive by a sidecar of its own: the registry never learns of a failure, the balancer must.
        embedded.register(service, app.port, lease_s=2 * duration_s)
    sidecar = start_sidecar({"eureka": {"urls": [embedded.url], "register": False, "fetch_interval": "500ms"}})
    until(lambda: nodes_of(sidecar, service) == INSTANCES, "all instances to be known")

    disturbance = Disturbance(apps, seed)
    disturbance.start()
    results = load(sidecar.port, service, duration_s)
    disturbance.finish()

    assert disturbance.done["kill"] and disturbance.done["freeze"], "the schedule must do something"
    gets = [result for result in results if result.method == "GET"]
    lost = [result for result in gets if result.status != 200]
    assert len(lost) < 0.001 * len(gets), lost
    slow = [result for result in results if result.duration_s > DEADLINE_S + LATE_S]
    assert not slow

    until(lambda: is_idle(sidecar, service), "every count to return to zero")
    taken = Counter(post_id for app in apps for post_id in app.ids)
    assert not [post_id for post_id, count in taken.items() if count > 1]
    posts = [result for result in results if result.method == "POST"]
    assert {result.id for result in posts if result.status == 200} <= taken.keys(), "an answer without the deed"
    assert sum(result.status == 200 for result in posts) > 0.5 * len(posts), "the service was of use all the while"


def nodes_of(sidecar: Sidecar, service: str) -> int:
    seen = sidecar.admin(f"/services/{service}")
    return len(seen.json["balancer"]["nodes"]) if seen.status == 200 else 0


def load(port: int, service: str, duration_s: int) -> list[Result]:
    """A constant rate, whatever the answers: waiting for them would be kind to a slow proxy."""
    started_s = time.monotonic()
    futures = []
    with ThreadPoolExecutor(MAX_CONCURRENT) as pool:
        for number in range(duration_s * RATE_PER_S):
            time.sleep(max(0.0, started_s + number / RATE_PER_S - time.monotonic()))
            futures.append(pool.submit(ask, port, service, "POST" if number % 2 else "GET"))
    return [future.result() for future in futures]


def ask(port: int, service: str, method: str) -> Result:
    """A POST takes a while, so that some are under way when their instance dies."""
    post_id = uuid.uuid4().hex
    path, body = ("item?delay_s=0.2", b"x" * 100) if method == "POST" else ("item", None)
    started_s = time.monotonic()
    try:
        answer = call(port, f"/{service}/{path}", method, body, {"X-Id": post_id})
        status, said = answer.status, "" if answer.status == 200 else answer.body.decode()
    except OSError as error:
        status, said = 0, repr(error)
    return Result(method, post_id, status, said, time.monotonic() - started_s)


def is_idle(sidecar: Sidecar, service: str) -> bool:
    metrics = sidecar.metrics
    seen = sidecar.service(service)
    counts = [
        metrics["proxy"]["in_flight"],
        metrics["hystrix"][service]["currentConcurrentExecutionCount"],
        seen["requests"]["in_flight"],
        seen["bulkhead"]["in_flight"],
        *(node["pending"] for node in seen["balancer"]["nodes"]),
    ]
    return not any(counts)

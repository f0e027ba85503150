"""Shared by the tests of the embedded server: a clock that only tests move, and registrations to put in the store."""

from collections.abc import Callable
from typing import Any

import pytest

from registry.server.json_body import registration_of
from registry.server.registration import PLAIN_CLASS, Registration
from registry.server.store import LeaseStore
from tests.registry_server.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> LeaseStore:
    return LeaseStore(clock)


@pytest.fixture
def instance() -> Callable[..., Registration]:
    """Makes a registration of application A, id i1, with a lease of 90 s; keywords are JSON fields."""

    def make(**fields: Any) -> Registration:
        plain = {"instanceId": "i1", "hostName": "h1", "app": "A", "ipAddr": "10.0.0.1", "lastDirtyTimestamp": 100}
        return registration_of({**plain, "dataCenterInfo": {"@class": PLAIN_CLASS, "name": "MyOwn"}, **fields})

    return make

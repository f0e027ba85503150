"""The parts of an end-to-end test, and an app name for each test."""

import uuid

import pytest

from tests.e2e.conftest import embedded, embedded_server, start_app, start_sidecar

__all__ = ["embedded", "embedded_server", "name", "start_app", "start_sidecar"]


@pytest.fixture
def name() -> str:
    """An app name that no other test uses."""
    return f"orders-{uuid.uuid4().hex[:8]}"

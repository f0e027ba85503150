"""What the server says of itself."""

import pytest

from registry.server.about import About
from tests.registry_server.clock import Clock


@pytest.mark.parametrize(
    ("passed_s", "shown"),
    [(59, "00:00"), (61, "00:01"), (3 * 3600, "03:00"), (86_400, "1 day 00:00"), (200_000, "2 days 07:33")],
)
def test_it_tells_how_long_it_runs_and_where(clock: Clock, passed_s: int, shown: str) -> None:
    about = About(clock)
    clock.advance_s(passed_s)
    document = about.document("127.0.0.1", 8761)
    assert document["generalStats"]["server-uptime"] == shown
    own = document["instanceInfo"]
    assert (own["instanceId"], own["port"]["$"], own["status"]) == ("127.0.0.1:8761", 8761, "UP")
    assert "actionType" not in own  # it is in no delta

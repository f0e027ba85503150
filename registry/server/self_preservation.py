"""Self-preservation: no lease expires while far fewer heartbeats arrive than should.

It tells a network that broke from instances that died. Source: Netflix eureka `PeerAwareInstanceRegistryImpl`,
`AbstractInstanceRegistry` and `MeasuredRate`.
"""

from collections.abc import Callable

_MINUTE_MS = 60_000
_RECOUNT_INTERVAL_MS = 15 * _MINUTE_MS
_EXPECTED_PER_MINUTE = 2  # of one client: one each 30 s, whatever interval it really has
RENEWAL_RATIO = 0.85


class SelfPreservation:
    """Counts heartbeats per minute and says whether leases may expire; always, while not `enabled`.

    It starts with one expected client, as a lone Spring Cloud server does; Netflix's own starts with none and evicts
    nothing in its first quarter of an hour.
    """

    def __init__(self, clock_ms: Callable[[], int], *, enabled: bool) -> None:
        self._clock_ms = clock_ms
        self._enabled = enabled
        self._expected_clients = 1
        self._minute_ms = self._recounted_ms = clock_ms()
        self._this_minute = self._last_minute = 0

    @property
    def threshold(self) -> int:
        """Heartbeats a minute that must be exceeded for leases to expire."""
        return int(self._expected_clients * _EXPECTED_PER_MINUTE * RENEWAL_RATIO)

    @property
    def allows_expiry(self) -> bool:
        if not self._enabled:
            return True
        self._turn_minutes()
        return 0 < self.threshold < self._last_minute

    def registered(self) -> None:
        """A new lease."""
        if self._expected_clients > 0:
            self._expected_clients += 1

    def removed(self) -> None:
        if self._expected_clients > 0:
            self._expected_clients -= 1

    def renewed(self) -> None:
        self._turn_minutes()
        self._this_minute += 1

    def recount(self, leases: int) -> None:
        """Every 15 minutes takes the number of leases as the number of clients, unless suspiciously many are gone."""
        now_ms = self._clock_ms()
        if now_ms < self._recounted_ms + _RECOUNT_INTERVAL_MS:
            return
        self._recounted_ms = now_ms
        if leases > RENEWAL_RATIO * self._expected_clients or not self._enabled:
            self._expected_clients = leases

    def _turn_minutes(self) -> None:
        """Only completed minutes count."""
        passed = (self._clock_ms() - self._minute_ms) // _MINUTE_MS
        if passed > 0:
            self._last_minute = self._this_minute if passed == 1 else 0
            self._this_minute = 0
            self._minute_ms += passed * _MINUTE_MS

"""One log line when Eureka stops answering, one when it answers again, however many attempts lie between."""

from collections.abc import Callable

import structlog

_log = structlog.get_logger()


class Outage:
    """The connection to Eureka as one loop sees it; `purpose` is "registration" or "discovery"."""

    def __init__(self, purpose: str, clock: Callable[[], float]) -> None:
        self._purpose = purpose
        self._clock = clock
        self._since_s: float | None = None
        self.problem = ""  # why the last exchange failed; "" when it worked

    def failed(self, detail: str) -> None:
        self.problem = detail
        if self._since_s is None:
            self._since_s = self._clock()
            _log.warning("eureka unreachable", purpose=self._purpose, reason=detail)

    def ended(self) -> None:
        self.problem = ""
        if self._since_s is not None:
            outage_s = round(self._clock() - self._since_s, 1)
            self._since_s = None
            _log.info("eureka reachable again", purpose=self._purpose, outage_s=outage_s)

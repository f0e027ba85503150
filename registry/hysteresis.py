"""What keeps a nervous health check from becoming a nervous registration."""

from collections import deque
from collections.abc import Callable


class RiseFall:
    """Hysteresis as in HAProxy: `rise` successes in a row to go up, `fall` failures in a row to go down.

    `up` is None until the app is first up, however often it fails before: an app that starts is not down.
    """

    def __init__(self, rise: int, fall: int) -> None:
        self.up: bool | None = None
        self._rise = rise
        self._fall = fall
        self._contrary = 0  # results in a row that contradict `up`

    def observe(self, healthy: bool) -> bool:
        """Take one result; true if it changed `up`."""
        if healthy is bool(self.up):
            self._contrary = 0
            return False
        self._contrary += 1
        if self._contrary < (self._rise if healthy else self._fall):
            return False
        self._contrary = 0
        self.up = healthy
        return True


class FlapDamping:
    """Whether there were more than `max_changes` changes within the last `window_s`; 0 changes: never.

    SmartStack's nerve bounds its reports by a token bucket; a bucket that is empty would hold back DOWN as well as UP.
    So this only says when there is too much of it, and whoever asks stays with the cautious state.
    """

    def __init__(self, max_changes: int, window_s: float, clock: Callable[[], float]) -> None:
        self.max_changes = max_changes
        self.window_s = window_s
        self._clock = clock
        # One more than allowed: there are too many exactly while the oldest of these lies in the window.
        self._changes_s: deque[float] = deque(maxlen=max_changes + 1)

    def changed(self) -> None:
        self._changes_s.append(self._clock())

    @property
    def calm_in_s(self) -> float:
        """How long until there were few enough, if there are no more; 0 when that is so already."""
        if self.max_changes == 0 or len(self._changes_s) <= self.max_changes:
            return 0.0
        return max(0.0, self._changes_s[0] + self.window_s - self._clock())

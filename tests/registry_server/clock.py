"""A clock that only tests move."""

from dataclasses import dataclass


@dataclass
class Clock:
    now_ms: int = 1_000_000

    def __call__(self) -> int:
        return self.now_ms

    def advance_s(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)

"""pybreaker, as far as it is used: it holds the state of a circuit and tells its listeners.

It is never asked to `call()`: in half-open it would admit everybody, count cancellations as failures and trip on
consecutive failures only.
"""

import sys
from collections.abc import Iterable
from typing import Literal

import structlog
from pybreaker import CircuitBreaker, CircuitBreakerListener
from pybreaker import CircuitBreakerState as State

CircuitState = Literal["closed", "open", "half-open"]  # pybreaker's words


class StateBus:
    """A listener that raises is logged and changes nothing. While they run, pybreaker itself reports the old state."""

    def __init__(self, name: str, listeners: Iterable[CircuitBreakerListener]) -> None:
        guarded = [_Guarded(listener) for listener in listeners]
        self._circuit = CircuitBreaker(fail_max=sys.maxsize, name=name, listeners=guarded)

    def enter(self, state: CircuitState) -> None:
        if state == "open":
            self._circuit.open()
        elif state == "half-open":
            self._circuit.half_open()
        else:
            self._circuit.close()


class _Guarded(CircuitBreakerListener):
    """pybreaker notifies before it stores the new state: a listener's exception would leave it with the old one, and
    would reach the request that happened to cause the change.
    """

    def __init__(self, listener: CircuitBreakerListener) -> None:
        self._listener = listener

    def state_change(self, cb: CircuitBreaker, old_state: State | None, new_state: State) -> None:
        try:
            self._listener.state_change(cb, old_state, new_state)
        except Exception:  # noqa: BLE001 - whatever it is, it must not decide about a request; logged with its stack
            structlog.get_logger().exception("breaker listener failed", service=cb.name, state=new_state.name)

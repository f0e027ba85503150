"""Which expired leases go in one pass.

Source: Netflix eureka `AbstractInstanceRegistry.evict`.
"""

from random import Random
from typing import TypeVar

from registry.server.self_preservation import RENEWAL_RATIO

_Lease = TypeVar("_Lease")


def eviction_limit(leases: int) -> int:
    """At most 15 % of all leases go in one pass, and one at least."""
    return leases - int(leases * RENEWAL_RATIO)


def chosen(expired: list[_Lease], leases: int, rng: Random) -> list[_Lease]:
    """Random ones, so that a pass that must stop at the limit does not take whole applications."""
    return rng.sample(expired, min(len(expired), eviction_limit(leases)))

"""Keys that the configuration knows and that have no effect yet: refused, never silently accepted.

A key that comes to life loses its row here, and nothing else changes.
"""

from collections.abc import Mapping

from prana.config.inheritance import inheritance
from prana.config.positions import Path

# A path, or a path and one value of it; a policy's path stands for those of services and routes too.
NOT_AVAILABLE: Mapping[str, str] = {
    "admin.dashboard": "there is no dashboard page",
    "app.data_center=Amazon": "no Amazon metadata is read",
}


def refusal(path: Path, value: object = None) -> str | None:
    """Why a key, or a key with this value, is refused; None when it is available."""
    *_, path = inheritance(path)
    key = ".".join(part for part in path if isinstance(part, str))
    reason = NOT_AVAILABLE.get(key) or NOT_AVAILABLE.get(f"{key}={value}")
    return f"not available yet: {reason}" if reason else None

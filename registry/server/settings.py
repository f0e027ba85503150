"""What can be set of the server; the defaults suit development: everything is seen at once and nothing lingers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Java's own defaults are named beside; with all of them this server keeps its times, too.

    With `strict_leases` an instance stays for two lease durations after its last heartbeat, as in Java, else for one.
    0 as `response_cache_interval_s` shows every change at once.
    """

    strict_leases: bool = False  # Java: True
    self_preservation: bool = False  # Java: True
    eviction_interval_s: float = 1.0  # Java: 60 s
    response_cache_interval_s: float = 0.0  # Java: 30 s
    delta_retention_s: float = 180.0  # Java: 180 s

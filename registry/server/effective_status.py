"""The status that others see of an instance.

Source: Netflix eureka `registry.rule`: DownOrStartingRule, OverrideExistsRule, LeaseExistsRule and, at last,
AlwaysMatchInstanceStatusRule.
"""

from registry.instance import Status


def effective_status(reported: Status, override: Status | None, existing: Status | None) -> Status:
    """First match wins. `existing` is what the lease has so far; None for a new one and for a replicated write.

    An instance that is UP or OUT_OF_SERVICE cannot move itself to the other of the two: only an override can.
    """
    if reported not in (Status.UP, Status.OUT_OF_SERVICE):
        return reported
    if override is not None:
        return override
    if existing in (Status.UP, Status.OUT_OF_SERVICE):
        return existing
    return reported

"""Which port of an instance a service is called by, and whether that means TLS."""

from dataclasses import replace
from enum import StrEnum

from registry.instance import Instance


class TlsMode(StrEnum):
    """AUTO asks the instance, as Spring's `ServiceInstance.isSecure` does: TLS where its secure port is enabled.
    ALWAYS is Ribbon's `IsSecure`: an instance without a secure port is not called. NEVER knows plain ports only."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def called(instance: Instance, mode: TlsMode) -> Instance | None:
    """The instance with the port it is called by, and `secure` set accordingly; None when it has no such port."""
    if mode is not TlsMode.NEVER and instance.secure_port > 0:
        return replace(instance, port=instance.secure_port, secure=True)
    return instance if mode is not TlsMode.ALWAYS and instance.port > 0 else None

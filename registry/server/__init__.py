"""The embedded Eureka-compatible server, for development and tests: `serve` starts it."""

from registry.server.runner import RegistryServer, serve
from registry.server.settings import RegistrySettings

__all__ = ["RegistryServer", "RegistrySettings", "serve"]

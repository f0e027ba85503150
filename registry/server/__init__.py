"""The embedded Eureka-compatible server, for development and tests: `serve` starts it."""

from registry.server.runner import RegistryServer, serve

__all__ = ["RegistryServer", "serve"]

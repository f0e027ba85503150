"""The embedded Eureka-compatible server, for development and tests."""

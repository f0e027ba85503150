"""Prana: a Eureka sidecar for apps in any language."""

__version__ = "0.1.0"

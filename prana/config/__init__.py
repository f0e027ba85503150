"""Configuration: what can be set, where a value came from, and every problem of it at once."""

from prana.config.loader import ConfigError, Loaded, load
from prana.config.settings import Settings
from prana.config.sources import FlagValue

__all__ = ["ConfigError", "FlagValue", "Loaded", "Settings", "load"]

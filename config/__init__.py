"""Settings of each environment: typed, validated, without secrets and without a call to AWS."""

from config.settings import Settings, SettingsError, load

__all__ = ["Settings", "SettingsError", "load"]

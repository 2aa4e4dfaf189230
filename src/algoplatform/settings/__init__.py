"""The settings: environment variables ALGOPLATFORM_*, or files of these names in ALGOPLATFORM_SECRETS_DIR."""

from algoplatform.settings.loading import SECRETS_DIR, describe, ignored, load, unknown
from algoplatform.settings.model import Settings
from algoplatform.settings.options import PREFIX, SettingsError

__all__ = ["PREFIX", "SECRETS_DIR", "Settings", "SettingsError", "describe", "ignored", "load", "unknown"]

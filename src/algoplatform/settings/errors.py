"""The error of wrong settings."""


class SettingsError(Exception):
    """A setting is wrong or missing; the message is one line that names it."""

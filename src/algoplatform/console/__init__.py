"""The console: pages for people, on top of the use cases and the web API."""

from typing import Final

from algoplatform.settings import Settings

# Where the console is served. Not in a module of pages, which are imported at the first visit.
BASE: Final = "/console"


def check_login(settings: Settings) -> None:
    """Raise SettingsError if people could not log in to the console; called where an operator sees the error."""
    if not settings.console:
        return
    settings.check_login()
    if settings.has_login:
        # Slow to import, and not needed behind a gateway.
        from algoplatform.auth.code_flow import check_client

        check_client(settings)

"""The console: pages for people, on top of the use cases and the web API."""

from typing import Final

# Where the console is served. Not in a module of pages, which are imported at the first visit.
BASE: Final = "/console"

"""uvicorn's options, the same for one process, several workers and the tests."""

from functools import partial
from typing import Any, Final

from algoplatform.api.server.protocol import BoundedProtocol
from algoplatform.settings import Settings

# Seconds. The ingress keeps connections for 60 s; the service must outlast it, or it would close a connection
# on which a request is just arriving.
_KEEP_ALIVE: Final = 75
# Seconds that a shutdown waits for running requests.
DRAIN: Final = 30
# Seconds before the drain ends at which an unfinished body is rejected: time to send the response.
FAREWELL: Final = 4


def server_options(settings: Settings) -> dict[str, Any]:
    return {
        "http": partial(BoundedProtocol, settings=settings, drain_timeout=DRAIN - FAREWELL),
        "ws": "none",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        # uvicorn trusts every proxy on this machine by default.
        "proxy_headers": bool(settings.trusted_proxies),
        "forwarded_allow_ips": sorted(settings.trusted_proxies),
        "timeout_keep_alive": _KEEP_ALIVE,
        "timeout_graceful_shutdown": DRAIN,
    }

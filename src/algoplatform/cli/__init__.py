"""The command line: `algoplatform`."""

import signal
import threading

# Ctrl-C while the modules load: there is nothing to put in order yet, and a traceback says nothing to anybody.
_QUIET = threading.current_thread() is threading.main_thread()
_QUIET = _QUIET and signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _QUIET:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from algoplatform.cli.commands import app  # noqa: E402 - behind the signal's handler

if _QUIET:
    signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["app"]

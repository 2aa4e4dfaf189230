"""The command line: `algoplatform`."""

import signal
import threading

# Ctrl-C during imports: nothing needs cleanup yet, and a traceback would not help anyone.
_QUIET = threading.current_thread() is threading.main_thread()
_QUIET = _QUIET and signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _QUIET:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from algoplatform.cli.commands import app  # noqa: E402 - after the signal handler is set

if _QUIET:
    signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["app"]

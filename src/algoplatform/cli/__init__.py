"""The command line: `algoplatform`."""

import os
import signal
import sys


def app() -> None:
    """Run the command of `sys.argv`."""
    # Ctrl-C during imports: nothing needs cleanup yet, and a traceback would not help anyone.
    quiet = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if quiet:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    # Not with this package, which the workers of `serve` import too.
    from algoplatform.cli.commands import app as commands

    if quiet:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        commands()
    except OSError as error:
        # Commands report all others: this one is of stdout, for example on a full disk. What it still holds would
        # fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.write(f"无法写到标准输出：{error.strerror}\n")
        sys.exit(2)

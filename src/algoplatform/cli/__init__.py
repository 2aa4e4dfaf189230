"""The command line: `algoplatform`."""

import signal


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
    commands()

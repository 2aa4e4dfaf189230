"""The command line: `algoplatform`."""

from algoplatform.cli.commands import app

__all__ = ["app"]

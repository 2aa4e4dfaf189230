"""Entry point of `python -m algoplatform`, the command line."""

from algoplatform.cli import app

app()

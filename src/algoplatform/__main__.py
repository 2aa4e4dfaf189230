"""`python -m algoplatform` is the command line."""

from algoplatform.cli import app

app()

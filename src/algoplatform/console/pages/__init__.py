"""The pages: each module that is named here declares the addresses of its own; `login` is added by the site."""

from algoplatform.console.pages import cluster, editing, images, plan, record, transfers
from algoplatform.console.visit import ROUTES

__all__ = ["ROUTES", "cluster", "editing", "images", "plan", "record", "transfers"]

"""The pages: each module that is named here declares the addresses of its own."""

from algoplatform.console.pages import cluster, editing, images, login, plan, record, transfers
from algoplatform.console.visit import ROUTES

__all__ = ["ROUTES", "cluster", "editing", "images", "login", "plan", "record", "transfers"]

"""Statements on single images, their dependencies and revisions."""

"""Statements that read many images."""

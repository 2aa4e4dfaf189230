"""Statements of an upload: whole sets of images."""

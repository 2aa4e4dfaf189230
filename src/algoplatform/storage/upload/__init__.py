"""Statements of uploads, on whole sets of images."""

"""Finds what will clash, fail or be forgotten once the images run: rules over one record, and across records."""

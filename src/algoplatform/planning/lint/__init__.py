"""Lint: rules over one record and across records, which find what will clash, fail or be missing at run time."""

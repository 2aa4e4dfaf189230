"""Drift: what a cluster runs, compared with what records render."""

"""Floors: the same work without our layers, as small and fast as possible."""

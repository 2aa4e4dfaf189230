"""The same work without our layers, as small and as fast as it can be made."""

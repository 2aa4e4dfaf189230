"""The use cases, which own the transactions."""

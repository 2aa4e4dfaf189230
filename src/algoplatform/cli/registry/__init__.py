"""The registries that the commands work on: a database or a service."""

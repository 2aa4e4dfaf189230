"""OpenAPI of the operations, a module for each module of routes."""

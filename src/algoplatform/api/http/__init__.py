"""Read requests and write responses."""

"""The console: pages for people, on top of the use cases and the web API."""

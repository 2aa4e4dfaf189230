"""The routes: read the request, call the use case, word the answer."""

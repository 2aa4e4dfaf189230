"""The routes: parse the request, call the use case, format the response."""

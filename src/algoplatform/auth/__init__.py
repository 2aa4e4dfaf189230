"""Authentication of callers by token, independent of HTTP."""

"""Checks that a Kubernetes API server makes and that its schema does not contain."""

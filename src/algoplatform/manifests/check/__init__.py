"""The verdicts of a Kubernetes API server that no schema contains."""

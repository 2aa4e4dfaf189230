"""Commands around the cluster: rendering, the dependency graph, lint, plans, artifacts and drift."""

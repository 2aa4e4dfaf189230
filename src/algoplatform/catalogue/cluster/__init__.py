"""Use cases around the cluster: the dependency graph, manifests, lint, plans, artifacts, drafts and drift."""

"""What records show before anything runs: the dependency graph, lint and capacity plans, as pure functions."""

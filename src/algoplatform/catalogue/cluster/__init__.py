"""Use cases of the cluster: the graph, manifests, lint, plans and artifacts of registered images, and drift from them."""

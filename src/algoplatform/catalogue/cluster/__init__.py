"""Use cases of the cluster: the graph, manifests and lint of registered images, and drift from them."""

"""The commands about the cluster: what records become there, and what would go wrong."""

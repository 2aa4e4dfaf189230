"""The commands about the cluster: what records become there, and what stands in the way."""

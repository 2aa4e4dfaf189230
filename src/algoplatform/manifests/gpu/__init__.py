"""GPU profiles: rows of data that say how a cluster shares its cards."""

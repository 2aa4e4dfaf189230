"""The body of `_plan`: cameras, nodes and running pods, checked with all faults reported at once."""

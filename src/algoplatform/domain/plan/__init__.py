"""The body of `_plan`: cameras, nodes and what runs on them, checked with every fault at once."""

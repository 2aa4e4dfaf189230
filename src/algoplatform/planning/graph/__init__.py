"""The dependency graph: levels, cycles, removal order, harmful changes, and drawings."""

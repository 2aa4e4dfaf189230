"""The graph of dependencies: levels, cycles, order of removal, changes that hurt, and its drawings."""

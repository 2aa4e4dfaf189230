"""From records and a cluster to the numbers of a plan: demand, shares of cards, nodes, the output of kubectl."""

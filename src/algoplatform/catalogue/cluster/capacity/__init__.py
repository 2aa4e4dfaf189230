"""Turns records and a cluster into the numbers of a plan: demand, shares of cards, nodes, the output of kubectl."""

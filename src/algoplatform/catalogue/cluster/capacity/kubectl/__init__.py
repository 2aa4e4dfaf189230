"""The output of `kubectl get -o json`: nodes with their cards, and what the pods on them hold."""

"""Compares what a cluster runs with what records render: pure functions on objects.

- `reading`: the objects of `kubectl get … -o json`, one by one, in constant memory.
- `live`: what the comparison needs of an object, of pods and of a workload's status.
- `three_way`: the differences between three versions of an object: as rendered first, as rendered now, live.
- `states`: the differences of all objects of a workload, and the state of the workload.
"""

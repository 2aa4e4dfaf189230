"""What a cluster runs, compared with what records render: pure functions on objects.

- `reading`: the objects of `kubectl get … -o json`, one by one, in constant memory.
- `live`: what the comparison needs of an object, of pods and of a workload's status.
- `three_way`: the differences of one object: rendered at first, rendered now, live.
- `states`: the differences of all objects of a workload, and its state.
"""

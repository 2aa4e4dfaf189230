"""Vector bin packing of pods on cards and nodes. Deterministic; on plain numbers, as the loops are hot."""

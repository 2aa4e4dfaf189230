"""Vector bin packing: pods on cards and nodes. Deterministic; numbers alone, as the loops are hot."""

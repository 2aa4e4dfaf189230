"""The rules, without I/O: what an image is, what may be wrong with it, who may do what."""

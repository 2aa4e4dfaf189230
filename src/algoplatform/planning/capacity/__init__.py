"""Capacity plans: which card each replica runs on, what does not fit, and which nodes would help. Pure."""

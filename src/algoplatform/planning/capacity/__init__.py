"""From channels to cards: how many replicas, on which cards, and what does not fit. Pure."""

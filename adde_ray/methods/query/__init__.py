"""Which samples to ask about: terms, scores, and the selectors that choose a batch."""

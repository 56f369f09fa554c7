"""Files here and in buckets: what a path means, and what may be reached."""

"""The pool of unlabelled samples: shards in memory or on disk, how they are built, and their features."""

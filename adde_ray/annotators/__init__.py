"""Who answers a query: annotators that are no people."""

"""What to synthesise, and how: requests, quality, generators."""

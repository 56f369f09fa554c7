"""What a few seeds, or the rows of one run, can tell."""

"""Arithmetic whose result does not depend on how rows are cut, and the threads it takes."""

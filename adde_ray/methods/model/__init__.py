"""The model f: what it is, how it is trained, and which of several is kept."""

"""The people's side of a run. Imports only the ground floor."""

"""The people's side of a run. Imports only schema, rundir, errors and methods.consensus."""

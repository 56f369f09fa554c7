"""The people's side of a run. Imports only what lies below: what people see must not reach hidden labels."""

"""How good and how fair f is on a held-out split, also where its input is made worse."""

"""How a run reacts to what it measured: adaptation and stopping rules."""

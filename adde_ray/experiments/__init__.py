"""Many runs at once, and what they say together."""

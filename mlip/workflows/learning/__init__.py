"""What the loop of `mlip learn` is made of."""

"""What the model does in float64: random backward passes, and weights that are replaced."""

"""A forward pass as a graph of ATen's operators, whichever way it was traced."""

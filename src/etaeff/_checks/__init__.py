"""What arguments must be, said once for every package: numbers, and tensors."""

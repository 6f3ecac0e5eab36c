"""What is known of each operator of ATen."""

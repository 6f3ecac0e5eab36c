"""What several tests share: simulations, networks, calls, a study in a second."""

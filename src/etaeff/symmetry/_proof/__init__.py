"""What a graph shows: degrees, what they demand, and what a later operator forgets."""

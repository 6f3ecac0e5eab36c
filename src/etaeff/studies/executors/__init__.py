"""Executors: where stacks are trained; one protocol, and a pool of processes so far."""

__all__: list[str] = []

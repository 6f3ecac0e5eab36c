"""Engine: trains trials side by side in stacks and measures what they do. A worker loads no more.

Shapes and stacks need no torch, so that plans and claims can ask for them; the rest does.
"""

__all__: list[str] = []

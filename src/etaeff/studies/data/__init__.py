"""Data: the images that networks train on, embedded or read from a folder, as arrays."""

__all__: list[str] = []

"""Imported before anything else here, so that a missing package is one sentence."""

from etaeff.errors import import_extra

for _package in ("polars", "scipy"):
    import_extra(_package, "study")

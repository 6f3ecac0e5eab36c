"""Closed forms: what learning rate and weight decay do to a normalised weight. No torch."""

from etaeff.theory._effective_lr import effective_lr, radius_power, sgd_radius

__all__ = ["effective_lr", "radius_power", "sgd_radius"]

"""Normalised layers as the paper writes them."""

from etaeff.layers._normalization import batch_norm, layer_norm, weight_norm

__all__ = ["batch_norm", "layer_norm", "weight_norm"]

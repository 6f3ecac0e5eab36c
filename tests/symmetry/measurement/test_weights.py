"""Weights that are made when they are read, against weights that are simply there."""

import pytest
import torch

from etaeff.symmetry._measurement import _weights
from etaeff.symmetry._measurement._weights import Weights

SHAPES = {"matrix": (6, 5), "filters": (4, 3, 2, 2), "vector": (7,), "number": ()}


def made():
    torch.manual_seed(0)
    tensors = {name: torch.randn(shape) for name, shape in SHAPES.items()}
    return tensors, Weights(tensors, torch.Generator().manual_seed(1))


def backward(weights, loss):
    """One pass in which autograd keeps no weight."""
    with torch.autograd.graph.saved_tensors_hooks(weights.pack, weights.unpack):
        found = loss({name: weights.lazy(name).make() for name in SHAPES})
    found.backward()


def loss(own):
    return sum((w * w.sin()).sum() for w in own.values()) + own["matrix"][1:, :2].prod(1).sum()


@pytest.mark.parametrize("piece", [1, 7, 1 << 17])
def test_sums_are_those_of_whole_weights_and_gradients(piece, monkeypatch):
    monkeypatch.setattr(_weights, "_PIECE", piece)
    _, weights = made()
    whole = {name: weights.value(name).clone().requires_grad_() for name in SHAPES}
    loss(whole).backward()
    backward(weights, loss)
    for name, sums in weights.sums().items():
        w, g = whole[name].detach(), whole[name].grad
        w, g = (own if own.ndim else own.reshape(1) for own in (w, g))
        assert len(sums) == w.ndim
        for axis, own in enumerate(sums):
            others = [i for i in range(w.ndim) if i != axis]
            for found, product in zip(own, (w * g, w * w, g * g), strict=True):
                expected = product.sum(others) if others else product
                torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tile", [3, 11, 262_147])
def test_a_piece_is_the_same_in_whatever_piece_it_is_read(tile, monkeypatch):
    monkeypatch.setattr(_weights, "_TILE", tile)
    _, weights = made()
    whole = weights.value("filters").flatten()
    for first in range(0, len(whole), 5):
        assert torch.equal(weights._piece("filters", first, first + 5), whole[first : first + 5])


def test_weights_are_shaken_by_a_share_of_their_size():
    tensors, weights = made()
    for name in ("matrix", "filters"):
        own = tensors[name].double()
        share = (weights.value(name) - own).norm() / own.norm()
        assert 0.15 < share < 0.45


def test_a_value_that_was_written_over_is_not_differentiated_with():
    # With hooks, autograd itself no longer looks, and gives a wrong gradient.
    def writes_over(own):
        kept = torch.ones(6, dtype=torch.float64)
        found = own["matrix"].T.mv(kept)
        kept.add_(1.0)
        return found.sum()

    _, weights = made()
    with pytest.raises(RuntimeError, match="written to in place"):
        backward(weights, writes_over)

"""Weights that are made when they are read, against weights that are simply there."""

import pytest
import torch

from etaeff.symmetry._measurement import _weights
from etaeff.symmetry._measurement._samples import Sample
from etaeff.symmetry._measurement._weights import Weights

SHAPES = {"matrix": (6, 5), "filters": (4, 3, 2, 2), "vector": (7,), "number": ()}


def made(tensors=None, **options):
    torch.manual_seed(0)
    tensors = tensors or {name: torch.randn(shape) for name, shape in SHAPES.items()}
    return tensors, Weights(tensors, torch.Generator().manual_seed(1), **options)


def backward(weights, loss):
    """One pass in which autograd keeps no weight."""
    with torch.autograd.graph.saved_tensors_hooks(weights.pack, weights.unpack):
        found = loss({name: weights.lazy(name).make() for name in weights.sums()})
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


def exact(weights, loss):
    """Weights and their gradients, by autograd alone."""
    whole = {name: weights.value(name).clone().requires_grad_() for name in weights.sums()}
    loss(whole).backward()
    return whole


def test_without_details_the_whole_of_a_tensor_is_summed():
    _, weights = made(detailed=False)
    whole = exact(weights, loss)
    backward(weights, loss)
    sample = Sample(1.0, weights.sums())
    for name, w in whole.items():
        assert sample.sums[name][0].shape == (3, 1)
        inner = float((w.detach() * w.grad).sum())
        assert sample.inner(name) == pytest.approx(inner, rel=1e-12)
        assert sample.size(name) == pytest.approx(
            float(w.detach().norm() * w.grad.norm()), rel=1e-12
        )


@pytest.mark.parametrize("detailed", [True, False])
def test_several_backward_passes_through_one_forward_pass(detailed):
    _, weights = made(detailed=detailed)
    losses = [loss, lambda own: sum(w.cos().sum() for w in own.values())]
    with torch.autograd.graph.saved_tensors_hooks(weights.pack, weights.unpack):
        own = {name: weights.lazy(name).make() for name in SHAPES}
        found = [function(own) for function in losses]
    for function, value in zip(losses, found, strict=True):
        weights.forget_gradients()
        value.backward(retain_graph=True)
        sample = Sample(1.0, weights.sums())
        for name, w in exact(weights, function).items():
            inner = float((w.detach() * w.grad).sum())
            assert sample.inner(name) == pytest.approx(inner, rel=1e-11)


def test_a_weight_that_is_read_twice_has_the_sum_of_its_gradients():
    _, weights = made()

    def twice(own):
        return (own["vector"].sin() + weights.lazy("vector").make().exp()).sum()

    backward(weights, twice)
    w = weights.value("vector")
    sums = weights.sums()["vector"][0]
    torch.testing.assert_close(sums[0], w * (w.cos() + w.exp()), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(sums[1], w * w, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(sums[2].sqrt(), w.cos().abs() + w.exp(), rtol=1e-12, atol=1e-12)


LAYOUTS = {
    "transposed": lambda: torch.randn(5, 4).t(),
    "channels last": lambda: torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last),
    "every second row": lambda: torch.randn(8, 3)[::2],
    "part of one memory": lambda: torch.randn(40)[7:19].view(4, 3),
    "half precision": lambda: torch.randn(4, 3).half(),
    "eight bits": lambda: torch.randn(4, 3).to(torch.float8_e4m3fn),
    "complex": lambda: torch.randn(4, 3, dtype=torch.complex64),
    "complex, conjugated": lambda: torch.randn(4, 3, dtype=torch.complex64).conj(),
    "complex, transposed": lambda: torch.randn(4, 3, dtype=torch.complex64).t(),
    "a complex number": lambda: torch.randn((), dtype=torch.complex64),
    "without entries": lambda: torch.randn(0, 3),
}


@pytest.mark.parametrize("piece", [1, 5, 1 << 17])
@pytest.mark.parametrize("name", LAYOUTS)
def test_sums_do_not_depend_on_how_a_weight_lies_in_memory(name, piece, monkeypatch):
    monkeypatch.setattr(_weights, "_PIECE", piece)
    torch.manual_seed(2)
    own = {"w": LAYOUTS[name]()}
    _, weights = made(own)

    def function(own):
        w = own["w"]
        return ((w * w.sin()).abs() + (w * w.new_ones(()) * (1 + 2j)).real).sum()

    whole = exact(weights, function)["w"]
    backward(weights, function)
    w, g = (
        whole.detach().reshape(own["w"].shape or (1,)),
        whole.grad.reshape_as(whole.reshape(own["w"].shape or (1,))),
    )
    products = ((w.conj() * g).real, (w.conj() * w).real, (g.conj() * g).real)
    for axis, sums in enumerate(weights.sums()["w"]):
        others = [i for i in range(w.ndim) if i != axis]
        for found, product in zip(sums, products, strict=True):
            expected = product.sum(others) if others else product
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_weight_lies_in_memory_as_the_models_does():
    own = {name: make() for name, make in LAYOUTS.items()}
    dense = [name for name in own if name not in ("every second row",)]
    _, weights = made(own)
    for name in dense:
        assert weights.value(name).stride() == own[name].stride()


VIEWS = {
    "view_as_complex": lambda w: torch.fft.fft(torch.view_as_complex(w.view(3, 2, 2)).sin()).abs(),
    "a view of another type": lambda w: w.view(torch.complex128).square().abs().repeat(2) * w,
    "as_strided": lambda w: w.as_strided((3, 2), (1, 4), 2).sin() * 2,
    "overlapping": lambda w: w.view(-1).unfold(0, 4, 2).square().prod(1),
    "transposed": lambda w: w.view(4, 3).t().sin(),
    "conjugated": lambda w: (torch.view_as_complex(w.view(6, 2)).conj().sin() * (2 + 1j)).real,
    "the imaginary part": lambda w: torch.view_as_complex(w.view(6, 2)).conj().imag.sin(),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_of_every_type_are_differentiated_as_autograd_does(name):
    _, weights = made({"w": torch.randn(12)})

    def function(own):
        found = VIEWS[name](own["w"])
        return (found * found.detach().cos() * found.sin()).sum()

    whole = exact(weights, function)["w"]
    backward(weights, function)
    torch.testing.assert_close(
        weights.sums()["w"][0][0], whole.detach() * whole.grad, rtol=1e-12, atol=1e-12
    )


COMPLEX_VIEWS = {
    "view_as_real": lambda w: torch.view_as_real(w).prod(-1),
    "conjugated": lambda w: (w.conj() * w.conj().sin()).real,
    "the imaginary part of the conjugate": lambda w: w.conj().imag.sin() * w.real,
    "a part": lambda w: (w[1:3] @ w[2:]).abs(),
}


@pytest.mark.parametrize("name", COMPLEX_VIEWS)
def test_views_of_complex_weights_are_differentiated_as_autograd_does(name):
    _, weights = made({"w": torch.randn(4, dtype=torch.complex64)})

    def function(own):
        return COMPLEX_VIEWS[name](own["w"]).square().sum()

    whole = exact(weights, function)["w"]
    backward(weights, function)
    expected = (whole.detach().conj() * whole.grad).real
    torch.testing.assert_close(weights.sums()["w"][0][0], expected, rtol=1e-12, atol=1e-12)


def test_a_weight_that_is_written_to_is_kept_as_it_is_then():
    _, weights = made({"w": torch.randn(4)})

    def written(own):
        w = own["w"].mul_(3.0)  # in the memory that the weight was made in
        return (w * w.sin()).sum()

    w = weights.value("w")
    backward(weights, written)
    slope = 3 * ((3 * w).sin() + 3 * w * (3 * w).cos())
    torch.testing.assert_close(weights.sums()["w"][0][0], w * slope, rtol=1e-12, atol=1e-12)


def test_weights_that_are_held_keep_their_values_and_have_no_gradient():
    own = {
        "w": torch.randn(3), "mask": torch.tensor([0.0, -torch.inf, torch.nan]),
        "index": torch.arange(3), "bits": torch.tensor([True, False, True]),
    }  # fmt: skip
    _, weights = made(own, held={"mask", "index", "bits"})
    assert set(weights.sums()) == {"w"}
    for name in ("mask", "index", "bits"):
        value = weights.lazy(name).make()
        assert not value.requires_grad
        assert torch.equal(value.nan_to_num(), own[name].to(value.dtype).nan_to_num())
        value.zero_()  # of a copy
        assert own[name].to(torch.float64).nan_to_num().any()
    assert weights.value("mask").dtype == torch.float64
    assert weights.value("index").dtype == torch.int64

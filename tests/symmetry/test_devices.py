"""Where a model is measured: an accelerator is not needed to see what is moved."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode  # tensors of devices that are not there

from etaeff import audit
from etaeff.errors import UsageError
from etaeff.symmetry import _devices
from etaeff.symmetry._devices import checked_device, on_device
from etaeff.symmetry._measurement._float64 import runner
from etaeff.symmetry._measurement._weights import Lazy
from etaeff.symmetry._measurement._wide import double
from etaeff.symmetry._tracing._graph import of_program

CPU = torch.device("cpu")


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def batch():
    return torch.randn(8, 3, generator=torch.Generator().manual_seed(1))


def elsewhere(kind):
    """A tensor on a device that is not here."""
    with FakeTensorMode():
        return torch.ones(2, device=kind)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_a_device_may_be_chosen(device):
    assert audit(small(), (batch(),), device=device).to_dict() == (
        audit(small(), (batch(),)).to_dict()
    )


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (3, "of type int"),
        ("no such device", "There is no device 'no such device'"),
        ("meta", "float64"),
        ("cuda:77", "There is no device 'cuda:77'"),
    ],
)
def test_a_device_that_cannot_be_measured_on_is_refused(device, words):
    with pytest.raises(UsageError, match=words) as caught:
        audit(small(), (batch(),), device=device)
    assert str(caught.value).endswith(".")


def test_where_nothing_is_said_tensors_stay_where_they_are():
    model = small()
    own = dict(model.named_parameters())
    assert checked_device(None, [*own.values(), batch(), "text", 3]) is None
    assert all(on_device(own, None)[name] is p for name, p in own.items())
    assert all(on_device(own, CPU)[name] is p for name, p in own.items())


def test_of_a_device_without_float64_all_is_moved_to_the_cpu():
    assert checked_device(None, [batch(), elsewhere("mps")]) == CPU


def test_a_model_that_has_no_numbers_is_not_moved():
    with torch.device("meta"):
        model = small()
    own = dict(model.named_parameters())
    assert all(on_device(own, CPU)[name] is p for name, p in own.items())
    found = audit(model, (batch(),), device="cpu")  # inputs are there, and weights are not
    assert found.rank == audit(small(), (batch(),), measure=False).rank


def test_what_is_moved_trains_as_it_did(monkeypatch):
    monkeypatch.setattr(_devices.Tensor, "device", property(lambda _: torch.device("cuda:0")))
    tensors = {"a": nn.Parameter(torch.ones(2)), "b": nn.Parameter(torch.ones(2), False)}
    moved = on_device(tensors, CPU)
    monkeypatch.undo()
    for name, parameter in tensors.items():
        assert moved[name] is not parameter
        assert moved[name].requires_grad is parameter.requires_grad


class Placed(nn.Module):
    """Makes tensors on the device of its input, and reads a constant."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3, 3)
        self.register_buffer("steps", torch.arange(3.0))

    def forward(self, x):
        places = torch.arange(3, device=x.device, dtype=x.dtype) + self.steps
        return self.linear(x.to(x.device, torch.float64).float() + places) * torch.ones_like(x)


def of_another_device(graph):
    """A graph in which all is made on a GPU."""
    count = 0
    for node in graph.module.graph.nodes:
        changed = {k: torch.device("cuda:0") for k in node.kwargs if k == "device"}
        count += len(changed)
        node.kwargs = {**node.kwargs, **changed}
    assert count
    return graph


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
def test_what_a_graph_makes_elsewhere_is_made_where_it_is_measured():
    model, x = Placed(), batch()
    graph = of_another_device(of_program(torch.export.export(model, (x,), strict=False)))
    weights = {name: Lazy(lambda p=p: double(p)) for name, p in model.named_parameters()}
    (found,) = runner(graph, own_epsilon=True, device=CPU)(weights, [x])
    wide = Placed().double()
    expected = wide.linear(x.double() + 2 * torch.arange(3.0).double())
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    with pytest.raises((RuntimeError, AssertionError)):
        runner(graph, own_epsilon=True)(weights, [x])

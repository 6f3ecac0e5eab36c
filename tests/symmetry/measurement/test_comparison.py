"""Whether a trace is the model's: on weights that are drawn anew, tensor by tensor."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from etaeff import audit

X = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


class Two(nn.Module):
    """Two layers, and what a test does between them."""

    def __init__(self, step):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.step = nn.Linear(6, 5), nn.Linear(5, 3), step

    def forward(self, x):
        return self.b(self.step(self, F.relu(self.a(x))))


def numbers(weight):
    return weight.detach().numpy()


def proved(found):
    return [s for s in found.symmetries if s.proved and s.kind != "homogeneous"]


LEAVING = {
    "quotient": lambda m, y: y * float(numbers(m.b.weight).std() / numbers(m.a.weight).std()),
    "largest entry": lambda m, y: y / float(np.abs(numbers(m.a.weight)).max()),
    "order of rows": lambda m, y: y[:, np.argsort(np.linalg.norm(numbers(m.a.weight), axis=1))],
    "signs": lambda m, y: y * torch.from_numpy(np.sign(numbers(m.b.bias))).sum(),
    "a list": lambda m, y: y * sum(m.a.bias.tolist()),
}


@pytest.mark.parametrize("step", LEAVING.values(), ids=LEAVING)
def test_a_number_that_leaves_torch_proves_nothing(step):
    found = audit(Two(step), (X,))
    assert not proved(found)
    if found.tracer == "none":
        assert "at other weights it does not do what the model does" in " ".join(found.notes)


KEPT = {
    "a rounded constant": lambda m, y: y * torch.tensor(0.1) / float(torch.tensor(0.3)),
    "a number of the shapes": lambda m, y: y / m.b.weight.shape[1] ** 0.5,
    "a branch on values": lambda m, y: y * 2 if y.sum() > 0 else y,
    "a branch on weights": lambda m, y: y * 2 if m.a.weight[0, 0] > 0 else y,
    "noise": lambda m, y: y * torch.rand_like(y) if y.sum() > 0 else y,
    "functional dropout": lambda m, y: F.dropout(y, 0.4) if y.sum() > -1 else y,
    "coins": lambda m, y: y * (0.9 + torch.rand(8, 1)).floor() if y.sum() > -1 else y,
    "numpy on inputs": lambda m, y: y * float(np.float32(y.shape[0])),
}


@pytest.mark.parametrize("step", KEPT.values(), ids=KEPT)
def test_what_is_only_rounded_drawn_or_decided_is_proved(step):
    torch.manual_seed(0)
    found = audit(Two(step), (X,))
    assert found.tracer != "none"
    assert {"a.weight", "a.bias", "b.weight"} in [set(s.exponents) for s in proved(found)]


def test_a_router_that_chooses_between_equals_does_not_deny_a_trace():
    class Routed(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.gate = nn.Parameter(torch.zeros(6, 4))
            self.experts = nn.Parameter(torch.randn(4, 6, 3))

        def forward(self, x):
            chosen = (x @ self.gate).argmax(-1)
            if x.sum() > 1e9:
                x = -x
            return torch.einsum("ni,nio->no", x, self.experts[chosen])

    assert audit(Routed(), (X,)).tracer == "dispatch log"

"""Sizes that only a run tells, such as the number of true entries of a mask."""

import pytest
import torch
from torch import nn

from etaeff import audit


class Chosen(nn.Module):
    """Some rows, weighed against each other."""

    def __init__(self, choose):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.head, self.choose = nn.Linear(8, 4), nn.Linear(4, 2), choose

    def forward(self, x, mask):
        y = self.linear(self.choose(x, mask))
        return self.head(y.softmax(0)).square().sum(0)


CHOICES = {
    "a mask": lambda x, m: x[m],
    "nonzero": lambda x, m: x[m.nonzero().flatten()],
    "where": lambda x, m: x[torch.where(m)[0]],
    "masked_select": lambda x, m: x.masked_select(m[:, None]).view(-1, 8),
    "a mask, twice": lambda x, m: x[m][x[m].sum(1) > -1e9].unflatten(1, (2, 4)).flatten(1),
}


@pytest.mark.parametrize("measure", [None, False])
@pytest.mark.parametrize("choose", CHOICES.values(), ids=CHOICES)
def test_a_bias_behind_a_mask_is_followed(choose, measure):
    x, mask = torch.randn(6, 8), torch.tensor([1, 1, 0, 1, 0, 1]).bool()
    found = audit(Chosen(choose), (x, mask), measure=measure)
    exponents = [dict(s.exponents) for s in found.symmetries if s.kind != "homogeneous"]
    assert {"linear.bias": 1} in exponents  # softmax over the rows forgets it
    assert {"head.bias": 1} not in exponents

"""Recurrent cells, and a normalisation before them."""

from collections.abc import Callable
from functools import partial
from typing import Final

from torch import Tensor, nn

from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._parts import HEAD, Called, sequences


class Recurrent(nn.Module):
    """Cells of one kind, and a head that reads every state."""

    def __init__(self, kind: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.cells = kind(8, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0])


CASES: Final = (
    Case(
        name="lstm",
        because="Gates and states are sigmoids and tanh of what the cells read, so no weight of "
        "theirs can scale; the outputs are linear in the head.",
        build=lambda: Recurrent(nn.LSTM),
        inputs=sequences(),
        homogeneous=HEAD,
    ),
    Case(
        name="layer norm, gru",
        because="Only weight_ih reads the norm, and undoes gain and shift; sigmoids and tanh let "
        "no scale through.",
        build=lambda: Called(norm=nn.LayerNorm(8), r=Recurrent(nn.GRU)),
        inputs=sequences(),
        symmetries=("norm.* / r.cells.weight_ih_l0",),
        homogeneous=("r.head.*", 1),
        balances="norm.* r.cells.weight_ih_l0",
    ),
    Case(
        name="layer norm, relu rnn",
        because="weight_ih undoes gain and shift; a state with ReLU scales with weight_ih and both "
        "biases, weight_hh keeps that scale from step to step, and the head undoes it.",
        build=lambda: Called(
            norm=nn.LayerNorm(8), r=Recurrent(partial(nn.RNN, nonlinearity="relu"))
        ),
        inputs=sequences(),
        symmetries=(
            "norm.* / r.cells.weight_ih_l0",
            "r.cells.weight_ih_l0 r.cells.bias_* / r.head.weight",
        ),
        homogeneous=("r.head.*", 1),
        balances="norm.* r.cells.weight_ih_l0 r.cells.bias_* r.head.weight",
    ),
)

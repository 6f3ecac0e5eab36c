"""One small training problem for an optimiser on spheres, and what two runs are compared by."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from etaeff.geometry import MODES, Block, param_groups

Array = NDArray[np.float64]

ROWS, COLUMNS = 4, 6  # of the weight whose rows are the spheres


@dataclass(frozen=True)
class OptimizerCase:
    """An optimiser under test: one row of `SphereOptimizerContract.cases`.

    Attributes:
        name: Of the row, in the names of the tests.
        optimizer: The class; it takes groups of `etaeff.param_groups`.
        kwargs: Arguments of it, and of `free`.
        own: Arguments of it alone.
        free: The optimiser that it equals bit for bit in groups without blocks, if there is one.
            Without `own`, its first step is also the direction of the first one on spheres.
        modes: The values of `mode` that it knows.
        direction: The reference: from the gradients so far, as float64 matrices, the direction d
            of the last free step w − ηd. None tests the first step alone, by `free`.
        angle: The angle per step in radians from lr and weight decay with `mode="equilibrium"`.
    """

    name: str
    optimizer: Callable[..., Optimizer]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    free: Callable[..., Optimizer] | None = None
    modes: tuple[str, ...] = MODES
    direction: Callable[[Sequence[Array]], Array] | None = None
    angle: Callable[[float, float], float] | None = None


class Run:
    """A small problem: a 4×6 weight whose rows are spheres, a free 3×5 weight, an optimiser.

    Args:
        case: The optimiser.
        mode: What a step is.
        dtype: Of the weights.
        lr: Learning rate.
        radius: Of the spheres.
        seed: Of weights and gradients.
    """

    def __init__(
        self,
        case: OptimizerCase,
        mode: str,
        dtype: torch.dtype = torch.float32,
        *,
        lr: float | Tensor = 0.05,
        radius: str | float = "unit",
        seed: int = 0,
    ) -> None:
        """Draw the weights and make the optimiser."""
        self.source = torch.Generator().manual_seed(seed)
        self.weight = Parameter(self.normal(ROWS, COLUMNS).to(dtype))
        self.other = Parameter(self.normal(3, 5).to(dtype))
        groups = param_groups(
            {"weight": self.weight, "other": self.other}, [Block(("weight",), count=ROWS)],
            lr=lr, weight_decay=0.1, mode=mode, radius=radius,
        )  # fmt: skip
        self.optimizer = case.optimizer(groups, **case.kwargs, **case.own)

    @property
    def params(self) -> tuple[Parameter, Parameter]:
        """The weight on spheres and the free one."""
        return self.weight, self.other

    def normal(self, *shape: int) -> Tensor:
        """Normal numbers in float64."""
        return torch.randn(*shape, generator=self.source, dtype=torch.float64)

    def draw(self) -> None:
        """New gradients."""
        for p in self.params:
            p.grad = self.normal(*p.shape).to(p.dtype)

    def steps(self, count: int) -> None:
        """Steps with new gradients, each with another state of torch's global generator.

        An optimiser that draws from it is another one after each restart.
        """
        for _ in range(count):
            self.draw()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(next(_SEEDS))
                self.optimizer.step()

    def off_radius(self, radius: float = 1.0) -> float:
        """The largest distance of a norm from the radius, relative to it."""
        norms = self.weight.detach().double().norm(dim=1)
        return float((norms / radius - 1).abs().max())


_SEEDS = itertools.count()


def bits(tensors: Sequence[Tensor]) -> list[bytes]:
    """All bits of tensors: zeros with different signs differ, and equal NaN are equal."""
    return [t.detach().reshape(-1).view(torch.uint8).numpy().tobytes() for t in tensors]


def normalized(w: Array) -> Array:
    """Rows of norm 1."""
    rows: Array = w / np.sqrt((w**2).sum(1, keepdims=True))
    return rows


def stepped(case: OptimizerCase, mode: str, w: Array, d: Array, lr: float) -> Array:
    """The reference of a step in direction −d, for pieces of norm 1 in rows."""
    if mode == "projected":
        return normalized(w - lr * d)
    theta = lr if mode == "angle" or case.angle is None else case.angle(lr, 0.1)
    tangent = d - (w * d).sum(1, keepdims=True) * w
    return math.cos(theta) * w - math.sin(theta) * normalized(tangent)


def first_directions(case: OptimizerCase, params: Sequence[Tensor]) -> list[Array]:
    """The direction d of each weight in the first step w − d of the free optimiser, at rate 1."""
    if case.free is None or case.own:
        skip("No free optimiser says what the first step is.")
    copies = [Parameter(p.detach().clone()) for p in params]
    for own, p in zip(copies, params, strict=True):
        own.grad = None if p.grad is None else p.grad.clone()
    case.free(copies, lr=1.0, weight_decay=0.0, **case.kwargs).step()
    return [(p - own).detach().numpy() for own, p in zip(copies, params, strict=True)]


def turns(before: Tensor, after: Tensor) -> Tensor:
    """The angle of each row, exact for small ones."""
    u, v = (t.detach().double() / t.detach().double().norm(dim=1, keepdim=True)
            for t in (before, after))  # fmt: skip
    return 2 * torch.atan2((u - v).norm(dim=1), (u + v).norm(dim=1))


def free_run(make: Callable[..., Optimizer], case: OptimizerCase, dtype: torch.dtype) -> Optimizer:
    """An optimiser without blocks."""
    source = torch.Generator().manual_seed(0)
    params = [Parameter(torch.randn(n, 3, generator=source).to(dtype)) for n in (2, 5)]
    own = case.own if make is case.optimizer else {}
    return make(params, lr=0.05, weight_decay=0.1, **case.kwargs, **own)


def same(left: Any, right: Any) -> bool:
    """Whether two trees of plain values and tensors agree, tensors in every bit."""
    if isinstance(left, Tensor):
        alike = isinstance(right, Tensor) and left.dtype == right.dtype
        return alike and left.shape == right.shape and bits([left]) == bits([right])
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def skip(why: str) -> NoReturn:
    """Leave a test out, and say so."""
    import pytest  # whoever runs the contract has it

    pytest.skip(why)


def refuses(
    error: type[Exception], word: str, call: Callable[..., Any], *args: Any, **kwargs: Any
) -> None:
    """Check that a call raises an error whose sentence has a word in it."""
    said = None
    try:
        call(*args, **kwargs)
    except error as refused:
        said = str(refused)
    assert said is not None, f"It was not refused with a {error.__name__}."
    assert word in said, f"The error does not say {word!r}: {said}"

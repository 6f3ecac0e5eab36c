"""A small network with Batch Normalization in training, for the laws of equilibrium.

The labels are random and the head small, so that gradients are mostly noise. Then the first
assumption of the model holds; the others, normal and alike entries of independent gradients of
one length, hold as far as real images and layers let them. Every output channel is a block, the
whole matrix for Muon. `python tests/support/equilibrium_training.py` prints the ratios of every
layer that `docs/theory.md` quotes.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

from etaeff.theory import equilibrium

WIDTH, BATCH = 64, 32
HEAD = 0.03  # a small head keeps what it could learn, to answer 1/10 always, below the noise


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr, weight_decay, betas):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "betas": betas})

    def update(self, p, state, group):
        first = state.setdefault("first", torch.zeros_like(p))
        beta1, beta2 = group["betas"]
        sign = first.lerp(p.grad, 1 - beta1).sign()
        first.lerp_(p.grad, 1 - beta2)
        return sign

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                update = self.update(p, self.state[p], group)
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"])


class Normalized(Lion):
    def __init__(self, params, lr, weight_decay, momentum=0.0):
        super().__init__(params, lr, weight_decay, (momentum, momentum))

    def update(self, p, state, group):
        first = state.setdefault("first", torch.zeros_like(p))
        first.lerp_(p.grad, 1 - group["betas"][0])
        return first / first.norm(dim=1, keepdim=True)


@dataclass(frozen=True)
class Row:
    """An optimiser of torch and its arguments.

    radius, angle: How far the ratio of measured to predicted may be from 1 in any layer.
    labels: `"fixed"`: drawn once. `"fresh"`: anew at every step.
    """

    name: str
    optimizer: type
    lr: float
    wd: float
    arguments: dict[str, Any]
    radius: float
    angle: float
    labels: str = "fixed"
    burn: int = 1000
    steps: int = 1000

    def __str__(self):
        given = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.name}({given})"


SGD, HEAVY = torch.optim.SGD, {"momentum": 0.9}
# Muon makes all singular values alike, so that what little the labels teach, which is always the
# same, counts as much as the noise: with fixed labels it errs by up to 20 %.
MUON = {"labels": "fresh", "burn": 400, "steps": 600}
# What is allowed is what four seeds and three layers spanned, and 1.5 %.
ROWS = [
    Row("sgd", SGD, 0.1, 0.1, {}, 0.02, 0.02),
    Row("sgd", SGD, 0.1, 0.01, HEAVY, 0.035, 0.035),
    Row("sgd", SGD, 0.1, 0.01, {**HEAVY, "nesterov": True}, 0.03, 0.045),
    Row("rmsprop", torch.optim.RMSprop, 0.01, 1e-3, {"alpha": 0.99}, 0.04, 0.035),
    Row("adam", torch.optim.Adam, 0.01, 1e-3, {"betas": (0.9, 0.99)}, 0.045, 0.055),
    Row("adamw", torch.optim.AdamW, 0.1, 0.05, {"betas": (0.9, 0.99)}, 0.03, 0.035),
    Row("adamw", torch.optim.AdamW, 0.1, 0.05, {"betas": (0.9, 0.95)}, 0.035, 0.03),
    Row("lion", Lion, 0.1, 0.05, {"betas": (0.9, 0.99)}, 0.05, 0.05),
    Row("muon", torch.optim.Muon, 0.1, 0.05, {"momentum": 0.95}, 0.08, 0.06, **MUON),
    Row("muon", torch.optim.Muon, 0.1, 0.05, {**HEAVY, "nesterov": False}, 0.055, 0.09, **MUON),
    Row("normalized", Normalized, 0.1, 0.05, {}, 0.001, 0.001),
    Row("normalized", Normalized, 0.1, 0.05, HEAVY, 0.04, 0.04),
]


def digits():
    pixels = torch.tensor(load_digits().data)
    pixels = pixels[:, pixels.std(dim=0) > 1]  # less the blank margin
    return (pixels - pixels.mean(dim=0)) / pixels.std(dim=0)


def measure(row, *, seed=0, layers=3, labels=None, head_size=HEAD):
    """Of every layer and block: mean r⁴ and r², 1 − cos, and ‖r g‖².

    `labels` are drawn anew at every step if `"fresh"`, once if `"fixed"`.
    """
    torch.manual_seed(seed)
    images = digits()
    fixed = torch.randint(10, (len(images),))
    sizes = [images.shape[1], *[WIDTH] * layers]
    weights = [torch.randn(o, i, dtype=torch.float64) for i, o in itertools.pairwise(sizes)]
    head = torch.randn(10, WIDTH, dtype=torch.float64) * head_size / math.sqrt(WIDTH)
    whole = row.name == "muon"
    place(row, weights, whole)
    weights = [w.requires_grad_() for w in weights]
    kwargs = dict(row.arguments)
    if row.name in ("adam", "adamw", "rmsprop"):
        kwargs["eps"] = 0.0
    optimizer = row.optimizer(weights, lr=row.lr, weight_decay=row.wd, **kwargs)
    sums = [0.0] * layers
    for step in range(row.burn + row.steps):
        chosen = torch.randint(len(images), (BATCH,))
        target = torch.randint(10, (BATCH,)) if (labels or row.labels) == "fresh" else fixed[chosen]
        hidden = images[chosen]
        for w in weights:
            hidden = hidden @ w.T
            hidden = hidden - hidden.mean(dim=0)
            hidden = (hidden / hidden.square().mean(dim=0).sqrt()).relu()
        loss = torch.nn.functional.cross_entropy(hidden @ head.T, target)
        optimizer.zero_grad()
        loss.backward()
        before = [w.detach().clone() for w in weights]
        optimizer.step()
        if step >= row.burn:
            for i, (old, w) in enumerate(zip(before, weights, strict=True)):
                sums[i] = sums[i] + one_step(old, w, whole)
    return [(s / row.steps).numpy() for s in sums]


def one_step(old, w, whole):
    new, g = w.detach(), w.grad
    if whole:
        old, new, g = old.reshape(1, -1), new.reshape(1, -1), g.reshape(1, -1)
    r2_old, r2 = old.square().sum(1), new.square().sum(1)
    cosine = (old * new).sum(1) / (r2 * r2_old).sqrt()
    return torch.stack([r2**2, r2, 1 - cosine, r2_old * g.square().sum(1)])


def place(row, weights, whole):
    """Weights near their equilibrium where it needs no gradient, so that little time is burnt."""
    for w in weights:
        w.div_(w.norm(dim=1, keepdim=True))
        if row.name in ("adamw", "lion", "normalized", "muon"):
            found = predicted(row, w, None)
            radius = float(found.radius)
            w.mul_(radius / math.sqrt(len(w)) if whole else radius)


def predicted(row, weight, grad_norm_sq):
    needs = {}
    if row.name == "muon":
        needs = {"shape": tuple(weight.shape)}
    elif row.name not in ("sgd", "normalized"):
        needs = {"dim": weight.shape[1]}
    if row.name in ("sgd", "rmsprop", "adam"):
        needs["grad_norm_sq"] = 1.0 if grad_norm_sq is None else grad_norm_sq
    return equilibrium(row.name, lr=row.lr, wd=row.wd, **row.arguments, **needs)


def ratios(row, **how):
    """Measured over predicted radius and angle of every block, layer by layer."""
    found = []
    sizes = [(WIDTH, digits().shape[1]), (WIDTH, WIDTH), (WIDTH, WIDTH)]
    for shape, (r4, r2, turn, g) in zip(sizes, measure(row, **how), strict=True):
        expected = predicted(row, np.empty(shape), g)
        radius = r4**0.25 if row.name == "sgd" else r2**0.5
        found.append((radius / expected.radius, np.sqrt(turn / (1 - expected.cosine))))
    return found


def table(rows, **how):
    """Markdown rows: the ratios of every layer, mean over its blocks and the error of the mean."""
    for row in rows:
        cells = [str(row)]
        for quantity in zip(*ratios(row, **how), strict=True):
            for blocks in quantity:
                error = f" ± {blocks.std() / math.sqrt(len(blocks)):.3f}" if len(blocks) > 1 else ""
                cells.append(f"{blocks.mean():.3f}{error}")
        yield f"| {' | '.join(cells)} |"


def adam_table(strengths=(1e-8, 1e-7, 1e-6), lr=0.01, **how):
    """Markdown rows: η_eff and G of Adam with L2 in every layer, for values of η²λ.

    With a G that did not move, η_eff would grow with the cube root of η²λ.
    """
    for strength in strengths:
        arguments = {"betas": (0.9, 0.999)}
        row = Row("adam", torch.optim.Adam, lr, strength / lr**2, arguments, 0, 0, burn=4000)
        cells = [f"{strength:.0e}"]
        for _, r2, _, g in measure(row, **how):
            cells.append(f"{np.mean(lr / np.sqrt(r2)):.3g}, {np.mean(g):.3g}")
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(*table(ROWS), sep="\n")
    print(*adam_table(head_size=1.0), sep="\n")

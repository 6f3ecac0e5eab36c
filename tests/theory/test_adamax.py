"""Why Adamax is refused: gradients of one variance give it other equilibria by their tails."""

import math

import numpy as np
import pytest
import torch

from etaeff.errors import NoLawError
from etaeff.theory import Setting, effective_lr, equilibrium, of_torch, trajectory

G, DIM, CHAINS = 2.0, 512, 4
BURN, STEPS = 2500, 500


def at_rest(kind, draw):
    """Radius and turn per step under a real optimiser of torch with L2."""
    rng = np.random.default_rng(6)
    w = torch.nn.Parameter(torch.tensor(rng.standard_normal((CHAINS, DIM)) / math.sqrt(DIM)))
    optimizer = kind([w], lr=0.01, betas=(0.9, 0.99), eps=1e-30, weight_decay=0.1)
    squares, turns = [], []
    for step in range(BURN + STEPS):
        before = w.detach().clone()
        r = before.norm(dim=1, keepdim=True)
        noise = torch.tensor(draw(rng, (CHAINS, DIM)))
        noise -= (noise * before).sum(1, keepdim=True) / r**2 * before
        w.grad = noise * math.sqrt(G / DIM) / r
        optimizer.step()
        if step >= BURN:
            after = w.detach()
            squares.append((after**2).sum(1).mean().item())
            cosine = (before * after).sum(1) / r.squeeze(1) / after.norm(dim=1)
            turns.append((1 - cosine).mean().item())
    return math.sqrt(np.mean(squares)), math.sqrt(2 * np.mean(turns))


def normal(rng, shape):
    return rng.standard_normal(shape)


def laplace(rng, shape):
    return rng.laplace(size=shape) / math.sqrt(2)  # of variance 1 too


def test_the_tails_of_the_gradient_move_adamax_and_leave_adam():
    still = np.divide(at_rest(torch.optim.Adam, laplace), at_rest(torch.optim.Adam, normal))
    moved = np.divide(at_rest(torch.optim.Adamax, laplace), at_rest(torch.optim.Adamax, normal))
    assert still == pytest.approx(1, abs=0.01)
    assert np.all(moved < 0.95)


def test_every_function_refuses_it_with_the_reason():
    (group,) = torch.optim.Adamax([torch.zeros(1)]).param_groups
    setting = Setting(optimizer="adamax", lr=0.1, wd=0.1)
    for ask in (
        lambda: equilibrium(setting),
        lambda: equilibrium("adamax", lr=0.1, wd=0.1),
        lambda: trajectory(setting, radius=1.0, steps=3),
        lambda: effective_lr("adamax", lr=0.1, radius=1.0),
        lambda: of_torch("Adamax", group),
    ):
        with pytest.raises(NoLawError) as refused:
            ask()
        assert str(refused.value) == (
            "No law is derived for Adamax: it divides by the largest of its decayed gradients, "
            "whose size rests on the tails of their distribution and lags behind the radius by the "
            "age of the largest, and no few moments say either."
        )

import math

import numpy as np
import pytest
import torch
from torch import nn

from etaeff.records import Trial
from etaeff.studies.engine._architecture import Architecture
from etaeff.studies.engine._measurement import LayerMeter, output_change
from etaeff.studies.engine._networks import initial_parameters, logits


def trials(optimizer="sgd", **changes):
    common = {"data": "digits", "train_size": 100, "steps": 1, "optimizer": optimizer}
    return [Trial.of(**(common | {"lr": lr} | changes)) for lr in (0.1, 0.4)]


def channels(*rows):
    """Two networks with two channels of two weights each."""
    return torch.tensor(rows).view(2, 2, 2)


W = channels([3.0, 4.0], [0.0, 1.0], [2.0, 0.0], [0.0, 2.0])  # radii 5 and 1; 2 and 2
G = channels([0.0, 2.0], [3.0, 0.0], [0.0, 0.5], [1.0, 0.0])  # norms 2 and 3; ½ and 1


def rotated(w, *angles):
    return torch.stack([
        torch.stack([
            torch.tensor([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]) @ row
            for row, a in zip(network, own, strict=True)
        ])
        for network, own in zip(w, angles, strict=True)
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("optimizer", "power"),
    [("sgd", 2), ("heavy-ball", 2), ("nesterov", 2), ("rmsprop", 1), ("adam", 1), ("adamw", 1)],
)
def test_a_meter_of_one_step_gives_what_the_step_was(optimizer, power):
    meter = LayerMeter(trials(optimizer), (2,))
    meter.before(W, G, [1.0, 0.5])
    meter.after(rotated(W, (0.3, 0.1), (0.02, 0.0)))
    found = meter.means()
    assert found.radius.tolist() == pytest.approx([3.0, 2.0])
    assert found.radius_4.tolist() == pytest.approx([(625 + 1) / 2, 16.0])
    # Of the mean radius, and of the rate that the schedule leaves.
    assert found.effective_lr.tolist() == pytest.approx([0.1 / 3**power, 0.2 / 2**power])
    angles = [math.sqrt((0.3**2 + 0.1**2) / 2), math.sqrt(0.02**2 / 2)]
    assert found.angle.tolist() == pytest.approx(angles, rel=1e-5)
    assert found.grad_norm_sq.tolist() == pytest.approx([(100 + 9) / 2, (1 + 4) / 2])


def test_a_meter_averages_over_steps_and_begins_anew():
    meter = LayerMeter(trials(), (2,))
    for scale, turn in ((1.0, 0.1), (2.0, 0.3)):
        meter.before(scale * W, G, [1.0, 1.0])
        meter.after(rotated(W, (turn, turn), (turn, turn)))
    found = meter.means()
    assert found.radius.tolist() == pytest.approx([4.5, 3.0])
    assert found.radius_4.tolist() == pytest.approx([313 * 17 / 2, 16 * 17 / 2])
    assert found.effective_lr.tolist() == pytest.approx(
        [(0.1 / 9 + 0.1 / 36) / 2, (0.4 / 4 + 0.4 / 16) / 2]
    )
    assert found.angle.tolist() == pytest.approx([math.sqrt(0.05)] * 2, rel=1e-5)
    meter.before(W, G, [1.0, 1.0])
    meter.after(W)
    again = meter.means()
    assert again.radius.tolist() == pytest.approx([3.0, 2.0])
    assert again.angle.tolist() == [0.0, 0.0]


def test_a_meter_takes_the_layer_as_one_block_where_the_axes_say_so():
    meter = LayerMeter(trials(), (1, 2))
    meter.before(W, G, [1.0, 1.0])
    meter.after(rotated(W, (0.2, 0.2), (0.1, 0.1)))
    found = meter.means()
    assert found.radius.tolist() == pytest.approx([math.sqrt(26), math.sqrt(8)])
    assert found.angle.tolist() == pytest.approx([0.2, 0.1], rel=1e-5)
    assert found.grad_norm_sq.tolist() == pytest.approx([26 * 13, 8 * 1.25])


def test_a_meter_does_not_mind_that_the_step_is_in_place():
    meter, w = LayerMeter(trials(), (2,)), W.clone()
    meter.before(w, G, [1.0, 1.0])
    w.copy_(rotated(W, (0.2, 0.2), (0.2, 0.2)))
    meter.after(w)
    assert meter.means().angle.tolist() == pytest.approx([0.2, 0.2], rel=1e-5)


def test_a_channel_of_zeros_has_no_angle_and_spoils_no_other():
    dead = W.clone()
    dead[0, 1] = 0.0
    meter = LayerMeter(trials(), (2,))
    meter.before(dead, G, [1.0, 1.0])
    meter.after(rotated(dead, (0.2, 0.0), (0.1, 0.1)))
    found = meter.means()
    assert found.angle.tolist() == pytest.approx([0.2, 0.1], rel=1e-5)
    assert found.radius.tolist() == pytest.approx([2.5, 2.0])


def test_a_network_of_nan_spoils_no_other():
    meter = LayerMeter(trials(), (2,))
    ill, gradient = W.clone(), G.clone()
    ill[0], gradient[0] = math.nan, math.nan
    meter.before(ill, gradient, [1.0, 1.0])
    meter.after(ill)
    found = torch.stack(meter.means())
    assert found[:, 0].isnan().all()
    assert found[:, 1].isfinite().all()


def stack(norm, *, network="mlp", seeds=(0, 1)):
    arch = Architecture(network, norm, (1, 6, 6), 6, 4)
    common = {"data": "digits", "train_size": 100, "lr": 0.1, "steps": 1, "norm": norm}
    drawn = [initial_parameters(arch, Trial.of(**common, seed=seed)) for seed in seeds]
    return arch, {name: torch.stack([p[name] for p in drawn]) for name in drawn[0]}


def examples():
    return torch.from_numpy(np.random.default_rng(0).standard_normal((20, 1, 6, 6))).float()


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("norm", ["batch", "layer", "weight"])
@pytest.mark.parametrize("factor", [2.0, 0.5, 1000.0])
def test_without_eps_the_outputs_of_normalised_networks_do_not_move(network, norm, factor):
    arch, parameters = stack(norm, network=network)
    change = output_change(arch, parameters, examples(), factor=factor, eps=1e-30)
    assert change.dtype == torch.float64
    assert change.max() < 1e-12


@pytest.mark.parametrize("factor", [2.0, 0.5, 1000.0])
def test_without_norm_the_outputs_move_by_the_factor_of_every_layer(factor):
    # Shifts are zero at the start, and ReLU keeps a positive factor: two layers give its square.
    arch, parameters = stack("none")
    change = output_change(arch, parameters, examples(), factor=factor, eps=1e-5)
    assert change.tolist() == pytest.approx([abs(factor**2 - 1)] * 2, rel=1e-6)


@pytest.mark.parametrize("eps", [1e-5, 1e-2])
@pytest.mark.parametrize("factor", [2.0, 0.5, 1000.0])
def test_eps_moves_the_outputs_as_if_it_were_divided_by_the_square_of_the_factor(eps, factor):
    arch, parameters = stack("batch")
    change = output_change(arch, parameters, examples(), factor=factor, eps=eps)
    for i in range(2):
        outputs = []
        for e in (eps, eps / factor**2):
            h = examples().double().flatten(1)
            for name in ("hidden1", "hidden2"):
                z = h @ parameters[name][i].double().T
                h = torch.relu(nn.BatchNorm1d(6, eps=e).double()(z))
            outputs.append(h @ parameters["head"][i].double().T)
        moved = (outputs[1] - outputs[0]).abs().max() / outputs[0].abs().max()
        assert change[i].item() == pytest.approx(moved.item(), rel=1e-6)
        assert moved > eps / 100


def test_an_output_change_of_one_network_of_nan_leaves_the_other():
    arch, parameters = stack("batch")
    before = output_change(arch, parameters, examples(), factor=2.0, eps=1e-5)
    for p in parameters.values():
        p[0] = math.nan
    after = output_change(arch, parameters, examples(), factor=2.0, eps=1e-5)
    assert after[0].isnan()
    assert after[1] == before[1]


def test_an_output_change_changes_no_parameter():
    arch, parameters = stack("batch")
    before = {name: p.clone() for name, p in parameters.items()}
    output_change(arch, parameters, examples(), factor=2.0, eps=1e-5)
    assert all(torch.equal(parameters[name], before[name]) for name in before)
    assert logits(arch, parameters, examples()).dtype == torch.float32

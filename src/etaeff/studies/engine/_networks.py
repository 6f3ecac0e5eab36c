"""The study's networks, many of them side by side in one batched model.

A *stack* is T networks of one architecture. Every parameter has a leading axis of length T,
and so do inputs and outputs; nothing flows from one network of a stack to another.

Notation
    T    networks in the stack       B    examples per network       C    channels or units
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from etaeff.layers import batch_norm, layer_norm, weight_norm
from etaeff.records import Trial
from etaeff.studies.engine._architecture import STRIDES, Architecture

Parameters = Mapping[str, Tensor]
Running = dict[str, tuple[Tensor, Tensor]]
Weight = Callable[[str], Tensor]
Normalized = Callable[[Tensor, str, int], Tensor]
EPS: Final = 1e-5


def initial_parameters(architecture: Architecture, trial: Trial) -> dict[str, Tensor]:
    """The parameters of one network before training, in float32.

    Normalised weights are normal with He's variance 2/fan-in, times the arm's `init_scale`; the
    head has variance 1/fan-in; gains are 1 and shifts 0. Drawn from `trial.seed` alone, so
    trials that differ in anything else start at the same directions.
    """
    rng = np.random.default_rng([trial.seed, 0])
    parameters: dict[str, Tensor] = {}

    def normal(shape: tuple[int, ...], std: float) -> Tensor:
        return torch.from_numpy((std * rng.standard_normal(shape)).astype(np.float32))

    for name, shape in architecture.weight_shapes.items():
        std = (2 / np.prod(shape[1:])) ** 0.5
        parameters[name] = normal(shape, float(std) * trial.arm.init_scale)
        if architecture.norm != "none":
            parameters[f"{name}.gain"] = torch.ones(shape[0])
        parameters[f"{name}.shift"] = torch.zeros(shape[0])
    parameters["head"] = normal(architecture.head_shape, architecture.head_shape[1] ** -0.5)
    parameters["head.shift"] = torch.zeros(architecture.classes)
    return parameters


def initial_running(architecture: Architecture, stack: int) -> Running:
    """Running mean 0 and variance 1 of every Batch Normalization; empty for other norms."""
    if architecture.norm != "batch":
        return {}
    return {
        name: (torch.zeros(stack * shape[0]), torch.ones(stack * shape[0]))
        for name, shape in architecture.weight_shapes.items()
    }


def logits(
    architecture: Architecture,
    parameters: Parameters,
    x: Tensor,  # (T, B, *in_shape), or (B, *in_shape) where all networks see the same
    *,
    running: Running | None = None,
    training: bool = True,
    eps: float = EPS,
) -> Tensor:  # (T, classes, B)
    """Outputs of every network of the stack.

    Args:
        architecture: What the networks have in common.
        parameters: As `initial_parameters`, each with a leading axis T.
        x: Inputs.
        running: Statistics of Batch Normalization; see `layers.batch_norm`.
        training: Whether Batch Normalization uses the batch's own statistics.
        eps: ε of the normalisation.
    """

    def normalized(z: Tensor, name: str, groups: int) -> Tensor:
        """Normalise, shift and rectify `z`: (examples, T·C, *space)."""
        shift = parameters[f"{name}.shift"].reshape(-1)
        if architecture.norm == "none":
            return (z + _per_channel(shift, z)).relu_()
        gain = parameters[f"{name}.gain"].reshape(-1)
        if architecture.norm == "batch":
            statistics = running[name] if running else None
            z = batch_norm(z, gain, shift, eps=eps, running=statistics, training=training)
        elif architecture.norm == "layer":
            z = layer_norm(z, gain, shift, eps=eps, groups=groups)
        else:
            z = z * _per_channel(gain, z) + _per_channel(shift, z)
        return z.relu_()

    def weight(name: str) -> Tensor:
        w = parameters[name]
        if architecture.norm != "weight":
            return w
        return weight_norm(w, architecture.block_dims(name))

    stack = parameters["head"].shape[0]
    features = _mlp if architecture.network == "mlp" else _conv
    h = features(architecture, weight, normalized, x, stack)  # (T, C, B)
    return torch.baddbmm(parameters["head.shift"].unsqueeze(-1), parameters["head"], h)


def _per_channel(v: Tensor, z: Tensor) -> Tensor:
    """`v`, one number for each channel, so that it broadcasts against `z`."""
    return v.view(-1, *[1] * (z.dim() - 2))


def _mlp(
    architecture: Architecture, weight: Weight, normalized: Normalized, x: Tensor, stack: int
) -> Tensor:
    """The last hidden layer of the perceptrons, (T, C, B)."""
    h = x.flatten(-3).mT  # (T, C, B), or (C, B): matmul then folds T into the rows
    for name in architecture.weight_shapes:
        z = weight(name) @ h  # (T, C, B)
        shape = z.shape
        if architecture.norm == "layer":  # its statistics belong to an example: batch first
            z = normalized(z.permute(2, 0, 1).reshape(shape[2], -1), name, stack)
            h = z.view(shape[2], shape[0], shape[1]).permute(1, 2, 0)
        else:  # all examples are the "space" of T·C channels
            h = normalized(z.view(1, -1, shape[2]), name, stack).view(shape)
    return h


def _conv(
    architecture: Architecture, weight: Weight, normalized: Normalized, x: Tensor, stack: int
) -> Tensor:
    """The last layer of the convolutions, averaged over its pixels, (T, C, B)."""
    if x.dim() == 4:
        x = x.expand(stack, *x.shape)
    h = x.transpose(0, 1).flatten(1, 2)  # (B, T·C, height, width)
    for name, stride in zip(architecture.weight_shapes, STRIDES, strict=True):
        z = F.conv2d(h, weight(name).flatten(0, 1), stride=stride, padding=1, groups=stack)
        h = normalized(z, name, stack)
    return h.mean(dim=(2, 3)).view(h.shape[0], stack, -1).permute(1, 2, 0)

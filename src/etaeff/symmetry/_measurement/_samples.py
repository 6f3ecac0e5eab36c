r"""What random batches say of the symmetries, in float64.

For a symmetry s any loss has $\sum_p s_p u_p = 0$ with $u_p = \langle\theta_p, \nabla_p\rangle$, at
any weights. So weights are shaken first: a bias that starts at zero would have u = 0 and show
nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from etaeff.symmetry._measurement._experiment import Experiment
from etaeff.symmetry._measurement._weights import Weights
from etaeff.symmetry._measurement._wide import double
from etaeff.symmetry._progress import stage

# What a model raises that cannot take some inputs, or whose path ends elsewhere.
NOT_TAKEN: Final = (IndexError, RuntimeError, ValueError)
_OUTLIER: Final = 1e6
_INPUT_NOISE: Final = 0.5


@dataclass(frozen=True)
class Sample:
    """One backward pass, as sums along each axis of each parameter.

    The weights and gradients themselves are not kept: of a large model they would not fit.

    Attributes:
        scale: ‖r‖‖y‖ of the random functional ⟨r, y⟩ of the outputs, without those that no weight
            moves: what is far below it is rounding.
        sums: By parameter name and axis a tensor (3, length of the axis): ⟨θ, ∇⟩, ‖θ‖² and ‖∇‖²
            of each slice; the last from above where a weight is read more than once.
    """

    scale: float
    sums: Mapping[str, Sequence[Tensor]]

    def inner(self, name: str) -> float:
        """U of a tensor."""
        return float(self.sums[name][0][0].sum())

    def size(self, name: str) -> float:
        """What |u| could be: ‖θ‖‖∇‖."""
        _, weight_sq, gradient_sq = self.sums[name][0].sum(1).tolist()
        return float((weight_sq * gradient_sq) ** 0.5)

    @property
    def is_finite(self) -> bool:
        """Whether no gradient is NaN or infinite."""
        return all(bool(sums[0].isfinite().all()) for sums in self.sums.values())

    def gradient(self, name: str) -> float:
        """‖∇‖."""
        return float(self.sums[name][0][2].sum().sqrt())


def samples(
    experiment: Experiment,
    *,
    count: int,
    seed: int,
) -> list[Sample]:
    """Backward passes of random losses at shaken weights on varied inputs.

    Args:
        experiment: The model, and what it is run on.
        count: How many.
        seed: Of the shakes, losses and inputs.

    Raises:
        ValueError: If the outputs cannot be differentiated, or are not finite.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn: list[Sample] = []
    first: list[Tensor] = []
    moving: list[Tensor] = []
    for i in range(count):
        stage(f"measuring sample {i + 1} of {count}")
        weights = Weights(experiment.parameters, generator, held=experiment.held)
        outputs = _outputs(experiment, weights, generator)
        if experiment.free and not outputs:
            raise ValueError("no output can be differentiated by a parameter")
        values = [output.detach() for output in outputs]
        _backward(outputs, generator)
        if i == 1:
            moving = _moving(first, values)
            drawn[0] = replace(drawn[0], scale=_scale(first, moving))
        drawn.append(Sample(_scale(values, moving), weights.sums()))
        if not drawn[-1].is_finite:
            raise ValueError("outputs or gradients are NaN or infinite")
        first = first or values
        del weights, outputs  # before the next ones are made
    return drawn


def quick_samples(
    experiment: Experiment,
    *,
    losses: int,
    seed: int,
    powers: Mapping[str, float],
) -> list[Sample]:
    """Several random losses of one forward pass, of which no slices are kept.

    Weights are multiplied by powers of two, and inputs have any sign, so that what is flat or
    straight near the model's own weights, or rarely reached, is seen elsewhere.

    Args:
        experiment: The model, and what it is run on.
        losses: How many.
        seed: Of the shakes, losses and inputs.
        powers: Of two, by canonical name.

    Returns:
        The samples that are finite. Their scale is zero: outputs here may be of any size.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = Weights(
        experiment.parameters, generator, detailed=False, held=experiment.held, powers=powers
    )
    drawn = []
    try:
        outputs = _outputs(experiment, weights, generator, signs=seed % 2 == 0)
        for i in range(losses if outputs else 0):
            weights.forget_gradients()
            _backward(outputs, generator, last=i == losses - 1)
            drawn.append(Sample(0.0, weights.sums()))
    except NOT_TAKEN:
        pass  # a log holds for one path, and others end where it has no more
    return [sample for sample in drawn if sample.is_finite]


def _outputs(
    experiment: Experiment, weights: Weights, generator: torch.Generator, *, signs: bool = True
) -> list[Tensor]:
    """What a weight can move, on varied inputs, or on its own if the model cannot take those."""
    others = varied(experiment.inputs, generator, signs=signs)
    with torch.autograd.graph.saved_tensors_hooks(weights.pack, weights.unpack):
        try:
            outputs = experiment.outputs(weights.lazy, others)
        except NOT_TAKEN:
            outputs = experiment.outputs(weights.lazy, experiment.inputs)
    return [output for output in outputs if output.requires_grad and output.numel()]


def _backward(outputs: Sequence[Tensor], generator: torch.Generator, *, last: bool = True) -> None:
    """The backward pass of a random functional."""
    losses = [
        (_noise(output.shape, generator).to(output.device) * output).sum().cpu()
        for output in outputs
    ]
    if losses:
        torch.stack(losses).sum().backward(retain_graph=not last)


def _noise(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Normal numbers, the same ones for each device."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _moving(left: Sequence[Tensor], right: Sequence[Tensor]) -> list[Tensor]:
    """Where outputs are not the same at other weights and on other inputs."""
    if [value.shape for value in left] != [value.shape for value in right]:
        return []
    return [value != other for value, other in zip(left, right, strict=True)]


def _scale(outputs: Sequence[Tensor], moving: Sequence[Tensor]) -> float:
    """‖r‖‖y‖ of a random functional, over what moves, or over everything if that is not known."""
    total = 0.0
    for i, output in enumerate(outputs):
        kept = ordinary(output)
        if moving and moving[i].shape == output.shape:
            kept &= moving[i]
        total += float(kept.sum().sqrt() * output[kept].norm())
    return total


def ordinary(values: Tensor) -> Tensor:
    """Where numbers have a usual size, and do not stand for −∞ in a mask."""
    sizes = values.abs()
    usual = sizes[values.isfinite() & (sizes > 0)]
    if not usual.numel():
        return values.isfinite()
    quartile = float(usual.kthvalue(1 + usual.numel() // 4).values)
    return values.isfinite() & (sizes <= _OUTLIER * max(quartile, 1.0))


def varied(inputs: Sequence[Any], generator: torch.Generator, *, signs: bool = True) -> list[Any]:
    """Other inputs of the same kind: of the same signs, and the same whole numbers shuffled.

    With `signs=False` the signs are drawn too, where there are negative numbers among them.

    Zeros stay, and so do infinities and what is zero or one everywhere: they may be a mask.
    """
    others = []
    for value in inputs:
        if isinstance(value, Tensor) and value.is_floating_point() and value.numel() > 1:
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            wide = double(value).cpu()
            mask = bool(wide.any()) and bool(((wide == 0) | (wide == 1)).all())
            shaken = wide * (_INPUT_NOISE * noise).exp() if bool(wide.any()) else noise
            if not signs and bool((wide < 0).any()):
                shaken *= _noise(value.shape, generator).sign()
            others.append((wide if mask else shaken).to(value.device))
        elif isinstance(value, Tensor) and value.dtype == torch.int64 and value.numel() > 1:
            order = torch.randperm(value.numel(), generator=generator)
            others.append(value.reshape(-1)[order.to(value.device)].reshape(value.shape))
        else:
            others.append(value)
    return others

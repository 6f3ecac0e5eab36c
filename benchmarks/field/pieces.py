"""Claims on parts of tensors, which the truth of whole tensors does not know: each is tried."""

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from etaeff.symmetry import Audit, Symmetry
from field._world import moved
from field.truth import STILL, Truth

POWERS = (2, -3)


def false_pieces(audit: Audit, truth: Truth) -> Iterator[str]:
    """Symmetries of parts along which the outputs move."""
    for symmetry in audit.piece_symmetries:
        if not _holds(symmetry, truth):
            shown = " ".join(f"{name}^{value}" for name, value in symmetry.exponents.items())
            yield f"parts, {symmetry.kind}: {shown} is none."


def balanced_by_parts(audit: Audit, truth: Truth) -> frozenset[str]:
    """The tensors that stand, whole or in part, in a symmetry of parts that holds."""
    return frozenset(
        tensor_of(name, truth)
        for symmetry in audit.piece_symmetries
        if _holds(symmetry, truth)
        for name in symmetry.exponents
    )


def tensor_of(piece: str, truth: Truth) -> str:
    """The name of the tensor that a piece is of."""
    return max((name for name in truth.names if piece.startswith(name)), key=len)


def _holds(symmetry: Symmetry, truth: Truth) -> bool:
    """Whether the outputs keep still along a symmetry of parts."""
    if any("..." in name for name in symmetry.exponents):
        return True  # of many runs, which the name does not tell
    for point in truth.points:
        for power in POWERS:
            scale = _factors(symmetry, power, point.weights, truth)
            if moved(truth.world.unscaled(point), truth.world(point, scale)) > STILL:
                return False
    return True


def _factors(
    symmetry: Symmetry, power: int, weights: Mapping[str, Tensor], truth: Truth
) -> dict[str, Tensor]:
    """A factor for each entry of the tensors that the parts are of; any, where it is inert."""
    factors: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(power + 9)
    for piece, exponent in symmetry.exponents.items():
        name = tensor_of(piece, truth)
        factor = factors.setdefault(name, torch.ones(weights[name].shape, dtype=torch.float64))
        for part in _parts(factor, piece.removeprefix(name)):
            if symmetry.kind == "inert":
                part.copy_(torch.randn(part.shape, generator=generator, dtype=part.dtype))
            else:
                part.mul_(2.0 ** float(power * exponent))
    return factors


def _parts(tensor: Tensor, cut: str) -> Iterator[Tensor]:
    """Views of what a piece is called by, as Python reads it; runs in braces one by one."""
    for runs in re.findall(r"{(.*)}", cut):
        for run in runs.split(", "):
            yield from _parts(tensor, re.sub(r"{.*}", run, cut))
        return
    yield eval("tensor" + cut, {"tensor": tensor}) if cut else tensor

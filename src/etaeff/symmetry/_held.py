"""Parameters that training cannot scale: they are taken as they are."""

from collections.abc import Mapping

import torch
from torch import Tensor

from etaeff._words import named


def held_parameters(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Why each of those parameters cannot be scaled, in a sentence, by name.

    Args:
        tensors: All parameters of a model.
    """
    found = {name: reason for name, p in tensors.items() if (reason := _reason(p))}
    for name, others in _overlapping(tensors).items():
        with_others = named(others, 2)
        found.setdefault(name, f"it shares memory with {with_others}: one moves with the other.")
    return found


def _reason(parameter: Tensor) -> str:
    """Why a parameter cannot be scaled by itself; nothing if it can."""
    dtype = str(parameter.dtype).removeprefix("torch.")
    if not parameter.requires_grad:
        return "it has requires_grad=False."
    if parameter.layout is not torch.strided:
        return "it is sparse, and only dense tensors are measured."
    if not (parameter.is_floating_point() or parameter.is_complex()) or not _can_be_read(parameter):
        return f"its numbers are {dtype}, and only real and complex ones have a scale."
    if any(n > 1 and s == 0 for n, s in zip(parameter.shape, parameter.stride(), strict=True)):
        return "its entries share memory with each other (it was expanded)."
    if not parameter.is_meta and not _is_finite(parameter):
        return "it holds NaN or infinity, of which nothing can be measured."
    return ""


def _can_be_read(parameter: Tensor) -> bool:
    """Whether torch can turn such numbers into others, which it cannot if they have four bits."""
    try:
        torch.zeros(1).to(parameter.dtype)
    except (NotImplementedError, RuntimeError):
        return False
    return True


def _is_finite(parameter: Tensor) -> bool:
    """Whether all entries are finite."""
    values = parameter.detach()
    values = values.float() if values.itemsize == 1 else values
    # A sum needs no memory; it can overflow, so only then all entries are asked.
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())


def _overlapping(tensors: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Parameters that lie, in part, in the memory of others, with those."""
    spans = sorted(
        (str(p.device), *_bytes(p), name)
        for name, p in tensors.items()
        if not p.is_meta and p.layout is torch.strided and p.numel()
    )
    found: dict[str, list[str]] = {}
    reaching: tuple[str, int, str] | None = None  # the farthest of those before
    for device, first, last, name in spans:
        if reaching is not None and reaching[0] == device and first <= reaching[1]:
            found.setdefault(name, []).append(reaching[2])
            found.setdefault(reaching[2], []).append(name)
        if reaching is None or reaching[0] != device or last > reaching[1]:
            reaching = device, last, name
    return found


def _bytes(tensor: Tensor) -> tuple[int, int]:
    """Addresses of the first and last entry."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    length = sum((length - 1) * stride for length, stride in steps)
    return tensor.data_ptr(), tensor.data_ptr() + length * tensor.element_size()

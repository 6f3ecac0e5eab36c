"""On which device a model is measured, and how it gets there."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from etaeff.errors import UsageError
from etaeff.symmetry._tracing._torch import mapped


def checked_device(device: object, tensors: Iterable[Any]) -> torch.device | None:
    """The one device on which everything is measured, or `None` if each tensor stays on its own.

    Args:
        device: What was asked for, if anything.
        tensors: Parameters and inputs. Where one is on a device without float64, all are measured
            on the CPU.

    Raises:
        UsageError: If there is no such device, or it has no float64.
    """
    if device is None:
        own = {v.device for v in tensors if isinstance(v, Tensor) and not v.is_meta}
        return None if all(map(_has_float64, own)) else torch.device("cpu")
    if not isinstance(device, str | torch.device):
        raise UsageError(
            "`device` must be the name of a device, such as 'cpu' or 'cuda:0', or a torch.device; "
            f"it is of type {type(device).__name__}."
        )
    try:
        place = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise UsageError(f"There is no device {str(device)!r} here: {reason}.") from error
    if place.type == "meta" or not _has_float64(place):
        raise UsageError(
            f"`device` is {str(device)!r}, on which nothing can be computed in float64. Measure on "
            "another, such as 'cpu'."
        )
    return place


def on_device(tensors: Mapping[str, Tensor], device: torch.device | None) -> Mapping[str, Tensor]:
    """Parameters on the device on which they are measured; those that are there are the same."""
    return {name: _moved(p, device) for name, p in tensors.items()}


def inputs_on_device(inputs: Sequence[Any], device: torch.device | None) -> list[Any]:
    """Flat inputs on the device on which the model is measured."""
    return [_moved(v, device) if isinstance(v, Tensor) else v for v in inputs]


def without_numbers(tensors: Mapping[str, Tensor], values: Any) -> Any:
    """Arguments for a model on the meta device, which takes no others; any others as they are."""
    if not tensors or not all(p.is_meta for p in tensors.values()):
        return values
    return mapped(lambda v: v.to("meta") if isinstance(v, Tensor) else v, values)


def _moved(tensor: Tensor, device: torch.device | None) -> Tensor:
    """A tensor on a device; on its own if that is `None`, or if it has no numbers to move."""
    if device is None or tensor.is_meta or tensor.device == device:
        return tensor
    return tensor.detach().to(device).requires_grad_(tensor.requires_grad)


def _has_float64(device: torch.device) -> bool:
    """Whether float64 is there."""
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (TypeError, RuntimeError, NotImplementedError):
        return False
    return True

"""float64 in place of every other type of real numbers, and complex128 of complex ones."""

from typing import Any, Final

import torch
from torch import Tensor

WIDE_TYPE: Final = {
    **dict.fromkeys((torch.float16, torch.bfloat16, torch.float32), torch.float64),
    **dict.fromkeys((torch.complex32, torch.complex64), torch.complex128),
}


def double(value: Any, device: torch.device | None = None) -> Any:
    """A copy in float64 of a real or complex tensor; anything else as it is, tensors copied.

    Args:
        value: Anything.
        device: Where the copy is to be; by default, where the tensor is.
    """
    if not isinstance(value, Tensor):
        return value
    value = value if device is None else value.to(device)  # its own may not have float64
    wider = WIDE_TYPE.get(value.dtype, value.dtype)
    return value.to(wider) if value.requires_grad else value.detach().to(wider, copy=True)


def kept(value: Any, device: torch.device | None = None) -> Any:
    """A copy of a tensor in its own type; anything else as it is."""
    return value.detach().to(device, copy=True) if isinstance(value, Tensor) else value


def wide(value: Any) -> Any:
    """A result in float64: what is made without a type has the default one."""
    narrow = isinstance(value, Tensor) and value.dtype in WIDE_TYPE
    return value.to(WIDE_TYPE[value.dtype]) if narrow else value

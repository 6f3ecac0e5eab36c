"""Blocks: which entries of a network's parameters share one norm.

Notation
    piece    one sphere: the i-th slice of every tensor of the block, taken together
    count    the number of pieces
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from torch import Tensor

from etaeff.errors import UnknownNameError, UsageError


@dataclass(frozen=True)
class Block:
    """Parameters that are cut alike, and whose slices lie on spheres.

    The tensors `names`, cut along `axis` into `count` equal contiguous pieces; piece i of all
    of them together is one sphere:

    - the rows of a linear or convolution weight before Batch Normalization: `count` is
      `shape[0]`;
    - the heads of a query projection under QK-norm: `count` is the number of heads;
    - a weight before Layer Normalization: `count` is 1;
    - the residual stream of a pre-norm transformer: many names, `count` is 1;
    - weights stored as `(in, out)`, such as `nn.ConvTranspose2d`: `axis` is 1.

    Args:
        names: Names of parameters, as `model.named_parameters()` gives them. A list becomes a
            tuple.
        axis: The axis that is cut; negative values count from the last.
        count: Number of pieces, at least 1. It must divide the length of `axis`.

    Raises:
        UsageError: If there are no names, one occurs twice, or `count` is below 1.

    Examples:
        >>> Block(("conv1.weight", "conv1.bias"), count=64)
        Block(names=('conv1.weight', 'conv1.bias'), axis=0, count=64)
    """

    names: tuple[str, ...]
    axis: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse what no block can be."""
        if isinstance(self.names, str):  # it would be taken for a tuple of letters
            raise UsageError(
                f"`names` must be a tuple of parameter names, got the string {self.names!r}: "
                f"write ({self.names!r},)."
            )
        names = tuple(self.names)
        object.__setattr__(self, "names", names)
        if not names:
            raise UsageError("`names` must hold at least one parameter name, got none.")
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise UsageError(
                f"`names` must differ, got {twice[0]!r} twice: a sphere has each entry once."
            )
        if self.count < 1:
            raise UsageError(f"`count` must be at least 1, got {self.count}.")


def pieces(tensor: Tensor, axis: int, count: int) -> Tensor:
    """The equal contiguous pieces of `tensor` along `axis`, as a view.

    The pieces come first, their own entries after: a weight `(out, in)` with `axis=1` becomes
    `(count, out, in / count)`. Nothing is copied, whatever the strides, so the pieces may be
    changed in place. A tensor without axes is one piece.

    Args:
        tensor: Any shape and memory layout.
        axis: The axis that is cut, in [-ndim, ndim).
        count: Number of pieces ≥ 1, a divisor of the length of `axis`.

    Returns:
        A view of shape `(count, ...)` with at least two axes.

    Raises:
        UsageError: If there is no such axis, or `count` does not divide its length.

    Examples:
        >>> import torch
        >>> w = torch.arange(6.0).reshape(2, 3)
        >>> pieces(w, axis=1, count=3)[0]
        tensor([[0.],
                [3.]])
        >>> _ = pieces(w, axis=0, count=2).mul_(torch.tensor([[[1.0]], [[10.0]]]))
        >>> w
        tensor([[ 0.,  1.,  2.],
                [30., 40., 50.]])
    """
    _check_cut(tuple(tensor.shape), axis, count)
    tensor = tensor if tensor.ndim else tensor.unsqueeze(0)
    axis %= tensor.ndim
    view: Tensor = tensor.unflatten(axis, (count, tensor.shape[axis] // count)).movedim(axis, 0)
    return view


def _check_cut(shape: tuple[int, ...], axis: int, count: int) -> None:
    """Refuse an axis that is not there, or a length that does not divide."""
    lengths = shape or (1,)
    if not -len(lengths) <= axis < len(lengths):
        raise UsageError(f"`axis` must name one of the axes of the shape {shape}, got {axis}.")
    if lengths[axis] % count:
        raise UsageError(
            f"`count` must divide the length {lengths[axis]} of axis {axis} of the shape {shape}, "
            f"got {count}."
        )


def check_block(block: Block, tensors: Mapping[str, Tensor]) -> None:
    """Refuse a block that names no tensor, or that one of its tensors cannot be cut as it says."""
    for name in block.names:
        if name not in tensors:
            raise UnknownNameError("parameter", name, _nearest(name, tensors))
        try:
            _check_cut(tuple(tensors[name].shape), block.axis, block.count)
        except UsageError as error:
            raise UsageError(f"Parameter {name!r} cannot be cut into blocks: {error}") from None


def block_pieces(block: Block, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The pieces of every tensor of a block, as views.

    Args:
        block: The block.
        tensors: Tensors by name, for example `dict(model.named_parameters())`. Others than
            those of the block are ignored.

    Returns:
        For every name a view of shape `(count, ...)`, as `pieces` gives it.

    Raises:
        UnknownNameError: If a name of the block is not in `tensors`.
        UsageError: If a tensor cannot be cut as the block says.

    Examples:
        >>> import torch
        >>> tensors = {"weight": torch.ones(4, 3), "bias": torch.ones(4)}
        >>> found = block_pieces(Block(("weight", "bias"), count=2), tensors)
        >>> found["weight"].shape, found["bias"].shape
        (torch.Size([2, 2, 3]), torch.Size([2, 2]))
    """
    check_block(block, tensors)
    return {name: pieces(tensors[name], block.axis, block.count) for name in block.names}


def _nearest(name: str, names: Mapping[str, Tensor], most: int = 8) -> list[str]:
    """The few names that share most with `name`: a network has hundreds."""

    def unlikeness(other: str) -> float:
        return -SequenceMatcher(None, name, other).ratio()

    nearest = sorted(names, key=unlikeness)[:most]
    rest = len(names) - len(nearest)
    return [*nearest, f"… and {rest} more"] if rest else nearest

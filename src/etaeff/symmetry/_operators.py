"""What a node of a graph is: its operator's name, and what it is there for."""

import operator
from typing import Any, Final

from torch import Tensor, fx

EPSILON: Final = 1e-3  # a constant up to this, which keeps a division from zero
_VIEWS: Final = frozenset(
    """view select slice narrow transpose t T mT numpy_T permute squeeze unsqueeze expand unflatten
    diagonal as_strided detach alias view_as movedim unfold swapaxes swapdims real imag view_as_real
    view_as_complex split split_with_sizes chunk unbind tensor_split""".split()  # noqa: SIM905
)
# Without a word in their schemas.
_MAY_RETURN_ITS_INPUT: Final = frozenset(
    """dropout feature_dropout type_as broadcast_tensors meshgrid atleast_1d atleast_2d atleast_3d
    expand_copy""".split()  # noqa: SIM905
)
_CARRY: Final = frozenset(
    """view reshape select slice narrow transpose t permute squeeze unsqueeze expand flatten
    unflatten diagonal as_strided detach alias view_as movedim unfold expand_as to _to_copy type_as
    clone contiguous clamp clamp_min broadcast_to pow square repeat""".split()  # noqa: SIM905
)
# Operators of higher order that run their graph once, on what follows it.
WRAPPERS: Final = frozenset(
    {"wrap_with_set_grad_enabled", "wrap_with_autocast", "tag_activation_checkpoint"}
)
_ROOTS: Final = {"sqrt", "sqrt_", "rsqrt", "rsqrt_", "reciprocal", "reciprocal_"}
_DIVISIONS: Final = {"div", "div_", "divide", "true_divide"}


def name_of(node: fx.Node) -> str:
    """The ATen name without overload, such as `add_`; nothing if it is no operator of ATen."""
    parts = str(node.target).split(".")
    return parts[1] if node.op == "call_function" and len(parts) > 2 else ""


def is_in_place(node: fx.Node) -> bool:
    """Whether an operator writes into its first argument."""
    name = name_of(node)
    return name.endswith("_") and not name.endswith("__") and bool(node.args)


def shares_memory(node: fx.Node) -> fx.Node | None:
    """The node in whose memory the result lies, or may lie: that of a view, say."""
    if node.target is operator.getitem:
        return node.args[0] if isinstance(node.args[0], fx.Node) else None
    schema = getattr(node.target, "_schema", None)
    if schema is None or not node.args:
        return None
    if any(found.alias_info for found in schema.returns):
        places = [i for i, given in enumerate(schema.arguments) if given.alias_info]
        shared = node.args[places[0]] if places[0] < len(node.args) else node.kwargs.get("out")
    else:
        shared = node.args[0] if name_of(node) in _MAY_RETURN_ITS_INPUT else None
    return shared if isinstance(shared, fx.Node) else None


def is_certain_view(node: fx.Node) -> bool:
    """Whether the result does lie there, and not perhaps in a copy."""
    return node.target is operator.getitem or is_in_place(node) or name_of(node) in _VIEWS


def written_by(node: fx.Node) -> fx.Node | None:
    """The node into whose memory an operator writes."""
    written = node.args[0] if is_in_place(node) else node.kwargs.get("out")
    return written if isinstance(written, fx.Node) else None


def covers(part: fx.Node, whole: fx.Node) -> bool:
    """Whether a view shows all of the memory that it is a view of."""
    own, other = part.meta.get("val"), whole.meta.get("val")
    if not isinstance(own, Tensor) or not isinstance(other, Tensor):
        return part is whole
    return bool(own.numel() * own.element_size() == other.numel() * other.element_size())


def decides_by_floor(node: fx.Node) -> bool:
    """Whether numbers in [0, 1) are drawn to be shifted and rounded down, as to drop a branch."""
    names = {user: name_of(user) for user in node.users}
    return bool(names) and all(
        name in ("floor", "floor_") or (name in ("add", "add_") and decides_by_floor(user))
        for user, name in names.items()
    )


def adds_epsilon(node: fx.Node, value: Any) -> bool:
    """Whether `value`, added or clamped to here, only keeps a division or a root from zero."""
    small = isinstance(value, int | float) and 0 < value <= EPSILON
    return small and bool(node.users) and all(_divides_by(node, user) for user in node.users)


def _divides_by(node: fx.Node, user: fx.Node) -> bool:
    name = name_of(user)
    if name in _ROOTS:
        return True
    if name in _DIVISIONS:
        return user.args[0] is not node
    if name == "pow" and isinstance(user.args[1], int | float) and user.args[1] < 1:
        return True
    carried = name in _CARRY and user.args[0] is node
    return carried and bool(user.users) and all(_divides_by(user, own) for own in user.users)

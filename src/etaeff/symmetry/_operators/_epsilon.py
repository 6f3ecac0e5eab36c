"""Which constants are an ε: added or clamped to, and only to keep a division from zero."""

from typing import Any, Final

from torch import fx

from etaeff.symmetry._tracing._nodes import name_of

EPSILON: Final = 1e-3  # a constant up to this, which keeps a division from zero
_CARRY: Final = frozenset(
    """view reshape select slice narrow transpose t permute squeeze unsqueeze expand flatten
    unflatten diagonal as_strided detach alias view_as movedim unfold expand_as to _to_copy type_as
    clone contiguous clamp clamp_min broadcast_to pow square repeat""".split()  # noqa: SIM905
)
_ROOTS: Final = {"sqrt", "sqrt_", "rsqrt", "rsqrt_", "reciprocal", "reciprocal_"}
_DIVISIONS: Final = {"div", "div_", "divide", "true_divide"}


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

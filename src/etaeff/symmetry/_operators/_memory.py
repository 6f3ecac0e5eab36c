"""In whose memory the result of an operator lies."""

import operator
from typing import Final

from torch import fx

from etaeff.symmetry._tracing._nodes import is_in_place, name_of

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

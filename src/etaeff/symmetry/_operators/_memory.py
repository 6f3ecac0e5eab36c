"""In whose memory the result of an operator lies."""

import operator

from torch import fx

from etaeff.symmetry._operators._operator import Memory
from etaeff.symmetry._operators._table import operator_of
from etaeff.symmetry._tracing._nodes import is_in_place, name_of
from etaeff.symmetry._tracing._torch import schema_of


def shares_memory(node: fx.Node) -> fx.Node | None:
    """The node in whose memory the result lies, or may lie: that of a view, say."""
    if node.target is operator.getitem:
        return node.args[0] if isinstance(node.args[0], fx.Node) else None
    schema = schema_of(node.target)
    if schema is None or not node.args:
        return None
    if any(result.alias_info for result in schema.returns):
        aliased = [i for i, argument in enumerate(schema.arguments) if argument.alias_info]
        shared = node.args[aliased[0]] if aliased[0] < len(node.args) else node.kwargs.get("out")
    else:
        perhaps = operator_of(name_of(node)).memory is Memory.MAY_BE_ITS_INPUT
        shared = node.args[0] if perhaps else None
    return shared if isinstance(shared, fx.Node) else None


def is_certain_view(node: fx.Node) -> bool:
    """Whether the result does lie there, and not perhaps in a copy."""
    if node.target is operator.getitem or is_in_place(node):
        return True
    return operator_of(name_of(node)).memory is Memory.VIEW

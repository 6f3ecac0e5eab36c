"""Operators that move entries: views, copies, permutations, selections, concatenations."""

from typing import Final

from etaeff.symmetry._operators._axes import Axes, all_but, broadcast, elementwise
from etaeff.symmetry._operators._call import Call
from etaeff.symmetry._operators._degree_rules import blind, joined, same
from etaeff.symmetry._operators._operator import Layout, Memory, Operator, rows
from etaeff.symmetry._operators._shifts import passed_on, reshaped

_VIEW: Final = Memory.VIEW
_INPUT: Final = Memory.MAY_BE_ITS_INPUT
_VIEWS: Final = Layout.VIEWS
_IN_ORDER: Final = Layout.IN_ORDER


def _of_the_first(call: Call) -> Axes | None:
    """Spread to the shape of the result."""
    name, value = next(iter(call.arguments.items()))
    return Axes({name: broadcast(value.shape, call.shape)}, range(len(call.shape)))


def _repeated(call: Call) -> Axes | None:
    """Axes whose length stays: they are not repeated, or are of length one."""
    return _of_the_first(call)


def _rolled(call: Call) -> Axes | None:
    """All axes but those along which positions are moved."""
    return all_but("dims")(call) if call.arguments.get("dims") else None


def _looked_up(call: Call) -> Axes | None:
    """Columns of the table."""
    return Axes({"weight": [None, "n"]}, [*[None] * (len(call.shape) - 1), "n"])


def _indexed(call: Call) -> Axes | None:
    """Axes behind those that are indexed, which are the first."""
    indices = call.arguments.get("indices", [])
    if any(index is None for index in indices):
        return None
    shape = call.arguments["self"].shape
    count = len(shape) - sum(index.ndim if index.is_condition else 1 for index in indices)
    labels = list(range(count))
    mixed = [None] * (len(call.shape) - count)
    return Axes({"self": [*[None] * (len(shape) - count), *labels]}, [*mixed, *labels])


def _chosen(call: Call) -> Axes | None:
    """Axes of the same length but the one along which places are chosen."""
    shape, dim = call.arguments["self"].shape, call.arguments.get("dim")
    if not isinstance(dim, int) or len(shape) != len(call.shape):
        return None
    labels = broadcast(shape, call.shape)
    kept = [None if i == dim % len(shape) else label for i, label in enumerate(labels)]
    return Axes({"self": kept}, range(len(shape)))


SHAPES: Final = rows(
    # Views.
    ("view squeeze unsqueeze unflatten",
     Operator(same, reshaped, _VIEW, layout=_IN_ORDER, carries=True)),
    ("select slice narrow transpose t permute expand movedim",
     Operator(same, reshaped, _VIEW, layout=_VIEWS, carries=True)),
    ("mT split split_with_sizes chunk unbind swapaxes swapdims",
     Operator(same, reshaped, _VIEW, layout=_VIEWS)),
    ("diagonal", Operator(same, memory=_VIEW, layout=_VIEWS, carries=True)),
    ("view_as", Operator(same, memory=_VIEW, layout=_IN_ORDER, carries=True)),
    ("as_strided unfold", Operator(same, memory=_VIEW, carries=True)),
    ("numpy_T tensor_split", Operator(same, memory=_VIEW, layout=_VIEWS)),
    ("alias", Operator(same, passed_on, _VIEW, axes=elementwise, carries=True)),
    ("detach",
     Operator(same, passed_on, _VIEW, axes=elementwise, carries=True, detaches=True)),
    ("detach_", Operator(same, axes=elementwise, carries=True, detaches=True)),
    # What may be a view or a copy.
    ("reshape flatten", Operator(same, reshaped, layout=_IN_ORDER, carries=True)),
    ("_unsafe_view", Operator(same, reshaped, layout=_IN_ORDER)),
    ("contiguous clone lift_fresh_copy",
     Operator(same, passed_on, axes=elementwise, carries=True)),
    ("expand_as broadcast_to", Operator(same, axes=_of_the_first, carries=True)),
    ("reshape_as ravel squeeze_ unsqueeze_", Operator(same, layout=_IN_ORDER)),
    ("hsplit vsplit dsplit linalg_diagonal", Operator(same, layout=_VIEWS)),
    ("lift sum_to_size mH adjoint matrix_H t_ transpose_", Operator(same)),
    ("unsafe_chunk unsafe_split", Operator(same, memory=_INPUT, layout=_VIEWS)),
    ("expand_copy", Operator(memory=_INPUT)),
    # Copies.
    ("repeat", Operator(same, axes=_repeated, carries=True)),
    ("triu triu_ tril tril_", Operator(same, axes=elementwise)),
    ("flip", Operator(same, axes=all_but("dims"))),
    ("roll", Operator(same, axes=_rolled)),
    ("embedding", Operator(same, axes=_looked_up)),
    ("index", Operator(same, axes=_indexed)),
    ("index_select gather", Operator(same, axes=_chosen)),
    ("""narrow_copy repeat_interleave tile fliplr flipud rot90 diag diagflat diag_embed im2col
     col2im pixel_shuffle pixel_unshuffle channel_shuffle masked_select take
     take_along_dim""", Operator(same)),
    # Several tensors.
    ("cat concat concatenate", Operator(joined, layout=Layout.JOINED)),
    ("stack", Operator(joined, layout=Layout.STACKED)),
    ("hstack vstack dstack column_stack cartesian_prod block_diag", Operator(joined)),
    ("broadcast_tensors meshgrid atleast_1d atleast_2d atleast_3d",
     Operator(joined, memory=_INPUT)),
    # Sizes, and places of entries.
    ("sym_size sym_numel sym_stride sym_storage_offset", Operator(blind)),
    ("nonzero nonzero_numpy argwhere one_hot", Operator(blind)),
)  # fmt: skip

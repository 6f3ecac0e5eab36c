"""Operators that move entries: views, copies, permutations, selections, concatenations."""

from typing import Final

from etaeff.symmetry._operators._degree_rules import blind, joined, same
from etaeff.symmetry._operators._operator import Memory, Operator, rows
from etaeff.symmetry._operators._shifts import passed_on, reshaped

_VIEW: Final = Memory.VIEW
_INPUT: Final = Memory.MAY_BE_ITS_INPUT

SHAPES: Final = rows(
    # Views.
    ("""view select slice narrow transpose t permute squeeze unsqueeze expand unflatten
     movedim""", Operator(same, reshaped, _VIEW, carries=True)),
    ("mT split split_with_sizes chunk unbind swapaxes swapdims", Operator(same, reshaped, _VIEW)),
    ("diagonal as_strided view_as unfold", Operator(same, memory=_VIEW, carries=True)),
    ("numpy_T tensor_split", Operator(same, memory=_VIEW)),
    ("alias", Operator(same, passed_on, _VIEW, carries=True)),
    ("detach", Operator(same, passed_on, _VIEW, carries=True, detaches=True)),
    ("detach_", Operator(same, carries=True, detaches=True)),
    # What may be a view or a copy.
    ("reshape flatten", Operator(same, reshaped, carries=True)),
    ("_unsafe_view", Operator(same, reshaped)),
    ("contiguous clone lift_fresh_copy", Operator(same, passed_on, carries=True)),
    ("expand_as broadcast_to", Operator(same, carries=True)),
    ("""lift reshape_as sum_to_size ravel hsplit vsplit dsplit mH adjoint matrix_H
     linalg_diagonal squeeze_ unsqueeze_ t_ transpose_""", Operator(same)),
    ("unsafe_chunk unsafe_split", Operator(same, memory=_INPUT)),
    ("expand_copy", Operator(memory=_INPUT)),
    # Copies.
    ("repeat", Operator(same, carries=True)),
    ("""narrow_copy repeat_interleave tile flip fliplr flipud roll rot90 triu triu_ tril tril_ diag
     diagflat diag_embed im2col col2im pixel_shuffle pixel_unshuffle channel_shuffle gather index
     index_select masked_select take take_along_dim embedding""", Operator(same)),
    # Several tensors.
    ("""cat concat concatenate stack hstack vstack dstack column_stack cartesian_prod
     block_diag""", Operator(joined)),
    ("broadcast_tensors meshgrid atleast_1d atleast_2d atleast_3d",
     Operator(joined, memory=_INPUT)),
    # Sizes, and places of entries.
    ("sym_size sym_numel sym_stride sym_storage_offset", Operator(blind)),
    ("nonzero nonzero_numpy argwhere one_hot", Operator(blind)),
)  # fmt: skip

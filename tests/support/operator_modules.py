"""Every call of an operator as a module whose arguments are parameters."""

import inspect

import torch
from torch import nn
from torch.utils import _pytree as pytree

from support import operator_calls as calls

CASES = {}
for call, names in calls.CALLS:
    for name in names.split():
        CASES.setdefault(name, []).append(call)


class Calling(nn.Module):
    """One operator of parameters; whole numbers that come out are made real."""

    def __init__(self, name, call):
        super().__init__()
        self.op, self.call = calls.operator_called(name), call
        generator = torch.Generator().manual_seed(1)
        for argument in list(inspect.signature(call).parameters)[1:]:
            self.register_parameter(argument, nn.Parameter(calls.TENSORS[argument](generator)))

    def forward(self):
        found = pytree.tree_leaves(self.call(self.op, **dict(self.named_parameters())))
        tensors = [value for value in found if isinstance(value, torch.Tensor)]
        return [v if v.is_floating_point() or v.is_complex() else v.double() for v in tensors]

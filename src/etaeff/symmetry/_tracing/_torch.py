"""All that the audit uses of torch's insides; a new version of torch is looked at here.

Each is here for want of a public way. What is only undocumented stands here too.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeGuard

import torch
import torch.fx.traceback as metadata  # where `fx` keeps what a tracer tells of a node
import torch.utils._pytree as pytree  # arguments as `torch.export` nests them
from torch import Tensor, fx, nn
from torch._ops import OpOverload  # the type of `torch.ops.aten.add.Tensor`
from torch.fx.experimental.proxy_tensor import make_fx  # what `torch.export` traces with
from torch.multiprocessing.reductions import StorageWeakRef  # see `Storage`

# Where a wrapper keeps its module.
WRAPPED_UNDER: Final = {
    "OptimizedModule": "_orig_mod",  # of torch.compile
    "DistributedDataParallel": "module",
    "DataParallel": "module",
}

# ------------------------------------------------------------------------------ nested arguments


def leaves(values: Any) -> list[Any]:
    """What stands in nested lists, tuples, dicts and registered classes, in order."""
    return pytree.tree_leaves(values)


def taken_apart(values: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """The leaves, and what puts others in their places."""
    flat, shape = pytree.tree_flatten(values)
    return flat, lambda others: pytree.tree_unflatten(list(others), shape)


def mapped(function: Callable[[Any], Any], values: Any) -> Any:
    """The same nest with `function` of each leaf."""
    return pytree.tree_map(function, values)


# --------------------------------------------------------------------------------------- modules


@contextlib.contextmanager
def without_new_buffer_hooks() -> Iterator[None]:
    """Take away what `torch.export` before 2.13 leaves behind where it fails.

    It is a hook on all modules, which refuses every buffer that is put into one from then on.
    """
    hooks = torch.nn.modules.module._global_buffer_registration_hooks
    before = set(hooks)
    try:
        yield
    finally:
        for key in set(hooks) - before:
            del hooks[key]


# ------------------------------------------------------------------------------------- operators


def is_operator(target: object) -> TypeGuard[OpOverload]:
    """Whether a node calls an operator, rather than a function of Python or a graph."""
    return isinstance(target, OpOverload)


def schema_of(target: object) -> Any:
    """The schema of an operator: arguments, results, and which of them share memory; or `None`."""
    return getattr(target, "_schema", None)


def argument_names(target: OpOverload) -> list[str]:
    """The names of an operator's arguments."""
    return [argument.name for argument in target._schema.arguments]


def numbers_by_default(target: OpOverload) -> dict[str, float]:
    """The arguments that are a number if they are left out, as a log leaves them out."""
    return {
        argument.name: argument.default_value
        for argument in target._schema.arguments
        if isinstance(argument.default_value, float)
    }


def overload_name(target: OpOverload) -> str:
    """Such as `Tensor` of `add.Tensor`."""
    return str(target).split(".")[2]


def beside(target: OpOverload) -> Any:
    """The operator that does the same and writes into nothing, such as `add` for `add_`."""
    library, name, overload = str(target).split(".")
    packet = getattr(getattr(torch.ops, library), name.removesuffix("_"), None)
    return getattr(packet, overload, target)


# --------------------------------------------------------------------------------------- tracing


def logged(forward: Callable[..., Any], args: Sequence[Any]) -> fx.GraphModule:
    """The operators that run in `forward`, before autograd takes them apart.

    Numbers that leave a tensor become constants, where `torch.export` would refuse.
    """
    tracer = make_fx(forward, pre_dispatch=True, _error_on_data_dependent_ops=False)
    with metadata.preserve_node_meta():
        return tracer(*args)


def tell_modules(stack: Sequence[tuple[str, str]]) -> None:
    """Tell the nodes to come in which modules, by path and class, they stand."""
    metadata.current_meta["nn_module_stack"] = {path: (path, kind) for path, kind in stack}


def is_of_a_transform(constant: object) -> bool:
    """Whether a value was left by `torch.func`, or was made of something that has a gradient."""
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return isinstance(constant, Tensor) and (wrapped(constant) or constant.grad_fn is not None)


# --------------------------------------------------------------------------------------- modules


def buffers_of(module: nn.Module) -> dict[str, Tensor | None]:
    """A module's dict of buffers itself: `register_buffer` cannot put one back in its place."""
    return module._buffers


# ---------------------------------------------------------------------------------------- memory


class Storage:
    """The memory of a tensor, which may be gone.

    Memory is known again by the address of its book-keeping, which no public function gives; and
    another tensor may have that address when the first is gone, which a weak reference tells.
    """

    def __init__(self, tensor: Tensor) -> None:
        """The memory of `tensor`, which it does not keep alive."""
        self._reference = StorageWeakRef(tensor.untyped_storage())
        self.address = address_of(tensor)

    @property
    def is_gone(self) -> bool:
        """Whether nobody has it any more."""
        return bool(self._reference.expired())


def has_memory(tensor: Tensor) -> bool:
    """Whether a tensor lies in memory of its own kind: not a sparse one, nor one of a transform."""
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    return tensor.layout is torch.strided and not wrapped


def address_of(tensor: Tensor) -> int:
    """What `Storage.address` is of the memory of a tensor."""
    return int(tensor.untyped_storage()._cdata)


def version_of(tensor: Tensor) -> int:
    """How often a tensor was written to: autograd does not look where hooks pack its tensors."""
    return int(tensor._version)

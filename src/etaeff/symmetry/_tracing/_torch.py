"""All that the audit uses of torch's insides; a new version of torch is looked at here.

Each is here for want of a public way. What is only undocumented stands here too.
"""

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeGuard

import torch
import torch.fx.traceback as metadata  # where `fx` keeps what a tracer tells of a node
import torch.utils._pytree as pytree  # arguments as `torch.export` nests them
import torch.utils.checkpoint
from torch import Tensor, fx, nn
from torch._higher_order_ops.flex_attention import math_attention  # what `flex_attention` is
from torch._ops import OpOverload, OpOverloadPacket  # the type of `torch.ops.aten.add.Tensor`
from torch.fx.experimental.proxy_tensor import make_fx  # what `torch.export` traces with
from torch.multiprocessing.reductions import StorageWeakRef  # see `Storage`

# Where a wrapper keeps its module.
WRAPPED_UNDER: Final = {
    "OptimizedModule": "_orig_mod",  # of torch.compile
    "DistributedDataParallel": "module",
    "DataParallel": "module",
}

_COUNT: Final = 48  # for a size that only a run tells; many numbers divide it

# ------------------------------------------------------------------------------ nested arguments


def leaves(values: Any) -> list[Any]:
    """What stands in nested lists, tuples, dicts and registered classes, in order."""
    return pytree.tree_leaves(values)


def flattened(values: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
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


def draws(target: object) -> bool:
    """Whether an operator takes from torch's chance, also where dropout is off, as in our runs."""
    if not is_operator(target) or torch.Tag.nondeterministic_seeded not in target.tags:
        return False
    return not any(word in str(target) for word in ("dropout", "dot_product_attention"))


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


def logged(
    forward: Callable[..., Any], args: Sequence[Any], *, taken_apart: bool = False
) -> fx.GraphModule:
    """The operators that run in `forward`.

    Numbers that leave a tensor become constants, where `torch.export` would refuse.

    Args:
        forward: What runs.
        args: Its arguments.
        taken_apart: Those that autograd and the transforms of `torch.func` come down to, in place
            of those that the model calls. So a model may take gradients inside.
    """
    tracer = make_fx(forward, pre_dispatch=not taken_apart, _error_on_data_dependent_ops=False)
    with metadata.preserve_node_meta():
        return tracer(*args)


def tell_modules(stack: Sequence[tuple[str, str]]) -> None:
    """Tell the nodes to come in which modules, by path and class, they stand."""
    metadata.current_meta["nn_module_stack"] = {path: (path, kind) for path, kind in stack}


def with_whole_sizes(described: Any) -> Any:
    """What a node's `val` describes, with whole numbers in place of sizes that are symbols.

    A symbol stands for its value in the trace. That of a count which only a run tells, such as the
    true entries of a mask, has none, and any number will do from 2 on: less would be no axis.
    """
    if isinstance(described, list | tuple):
        return type(described)(map(with_whole_sizes, described))
    if isinstance(described, torch.SymInt):
        return _whole(described)
    if not isinstance(described, Tensor) or described.layout is not torch.strided:
        return described
    if all(type(size) is int for size in (*described.shape, *described.stride())):
        return described
    shape = [size if type(size) is int else max(_whole(size), 2) for size in described.shape]
    order = sorted(range(len(shape)), key=lambda axis: _whole(described.stride(axis)), reverse=True)
    stride, step = dict.fromkeys(order, 0), 1
    for axis in reversed(order):
        stride[axis] = step if _whole(described.stride(axis)) else 0
        step *= shape[axis] if stride[axis] else 1
    steps = [stride[axis] for axis in range(len(shape))]
    return torch.empty_strided(shape, steps, dtype=described.dtype, device="meta")


def _whole(size: Any) -> int:
    """A number in place of a size."""
    if type(size) is int:
        return size
    if size.node.has_hint():
        return int(size.node.hint)
    expression = size.node.expr
    counts = dict.fromkeys(expression.free_symbols, _COUNT)
    return int(expression.xreplace(counts))


def is_a_level(target: object) -> bool:
    """Whether a node of a graph begins or ends a `torch.vmap`, which cannot be run again there."""
    return getattr(target, "__module__", "") == "torch._functorch.predispatch"


def is_differentiated(value: object) -> bool:
    """Whether `torch.func.grad` or its kin follow a value."""
    return isinstance(value, Tensor) and torch._C._functorch.is_gradtrackingtensor(value)


def is_data(function: object) -> bool:
    """Whether a call reads `tensor.data`, in whose place modes of torch see this."""
    return bool(function == Tensor.data.__get__)  # type: ignore[attr-defined]


@functools.cache
def named_places(
    function: Callable[..., Any], names: tuple[str, ...]
) -> Mapping[str, tuple[int, Any]]:
    """Where a function of torch takes some arguments, and what they are if they are left out.

    Functions that are written in C have no signature; ATen's schema of that name tells it.
    """
    try:
        given = [(p.name, p.default) for p in inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        packet = getattr(torch.ops.aten, getattr(function, "__name__", ""), None)
        packets = [packet] if isinstance(packet, OpOverloadPacket) else []
        overloads = [getattr(one, name) for one in packets for name in one.overloads()]
        schemas = [
            [(argument.name, argument.default_value) for argument in schema_of(overload).arguments]
            for overload in overloads
        ]
        given = max(schemas, key=lambda schema: sum(a in names for a, _ in schema), default=[])
    return {name: (i, default) for i, (name, default) in enumerate(given) if name in names}


@contextlib.contextmanager
def without_saved_tensor_hooks() -> Iterator[None]:
    """Autograd keeps what it needs as it is, whatever hooks were set; there is no public way."""
    hooks = []
    while (pair := torch._C._autograd._top_saved_tensors_default_hooks(True)) is not None:
        torch._C._autograd._pop_saved_tensors_default_hooks()
        hooks.append(pair)
    try:
        yield
    finally:
        for pair in reversed(hooks):
            torch._C._autograd._push_saved_tensors_default_hooks(*pair)


@contextlib.contextmanager
def in_plain_torch() -> Iterator[None]:
    """What is compiled runs as it is written, and `flex_attention` as the products that it is.

    Compilers see no modes of torch, and on a CPU `flex_attention` refuses weights that train.
    """
    dynamo = "torch._dynamo" in sys.modules  # loading it takes a second, and nobody has
    flex: Any = sys.modules.get("torch.nn.attention.flex_attention")
    before = {} if flex is None else {name: getattr(flex, name) for name in _PLAIN_ATTENTION}
    with torch.compiler.set_stance("force_eager") if dynamo else contextlib.nullcontext():
        try:
            if before:
                vars(flex).update(_PLAIN_ATTENTION)
            yield
        finally:
            if before:
                vars(flex).update(before)


_PLAIN_ATTENTION: Final = {
    "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG": True,
    "_validate_device": lambda *_: None,
    "flex_attention_hop": math_attention,
}


@contextlib.contextmanager
def without_checkpoints() -> Iterator[None]:
    """Checkpoints of the reentrant kind run their function and no more."""
    kind: Any = torch.utils.checkpoint.CheckpointFunction
    before = kind.apply
    kind.apply = lambda function, _keep_chance, *args: function(*args)
    try:
        yield
    finally:
        del kind.apply
        assert kind.apply == before


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


def entries(tensor: Tensor) -> tuple[int, int]:
    """Places of the first and last entry of a tensor in its memory, counted in entries."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    first = int(tensor.storage_offset())
    return first, first + sum((length - 1) * stride for length, stride in steps)


def version_of(tensor: Tensor) -> int:
    """How often a tensor was written to: autograd does not look where hooks pack its tensors."""
    return int(tensor._version)

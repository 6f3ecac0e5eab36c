"""What a node of a graph is: its operator's name, its module, and what it writes into."""

import operator
from typing import Any, Final

from torch import Tensor, fx

from etaeff.symmetry._tracing._torch import is_operator, schema_of

# Operators of higher order that run their graph once, on what follows it.
WRAPPERS: Final = frozenset(
    {"wrap_with_set_grad_enabled", "wrap_with_autocast", "tag_activation_checkpoint"}
)


def name_of(node: fx.Node) -> str:
    """The name of its operator, see `operator_name`; nothing if it calls none."""
    return operator_name(node.target) if is_operator(node.target) else ""


def operator_name(target: object) -> str:
    """The name without overload: of ATen's such as `add_`, of others such as `library::add_`."""
    library, name, *_ = str(target).split(".")
    return name if library == "aten" else f"{library}::{name}"


def attribute_of(module: Any, node: fx.Node) -> Any:
    """What a node reads from the module of its graph; `None` if that is not there."""
    for part in str(node.target).split("."):
        module = getattr(module, part, None)
    return module


def is_in_place(node: fx.Node) -> bool:
    """Whether an operator writes into its first argument."""
    name = name_of(node)
    return name.endswith("_") and not name.endswith("__") and bool(node.args)


def written_by(node: fx.Node) -> fx.Node | None:
    """The node into whose memory an operator writes."""
    written = node.args[0] if is_in_place(node) else node.kwargs.get("out")
    return written if isinstance(written, fx.Node) else None


def covers(part: fx.Node, whole: fx.Node) -> bool:
    """Whether a view shows all of the memory that it is a view of."""
    seen, memory = part.meta.get("val"), whole.meta.get("val")
    if not isinstance(seen, Tensor) or not isinstance(memory, Tensor):
        return part is whole
    return bool(seen.numel() * seen.element_size() == memory.numel() * memory.element_size())


def module_of(node: fx.Node) -> tuple[str, str]:
    """Path and class of the module in which an operator stands."""
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return "", ""
    path, kind = list(stack.values())[-1]
    return str(path), str(kind).rsplit(".", 1)[-1]


def argument_of(node: fx.Node, name: str) -> Any:
    """An argument of an operator by its name; `None` if it was left out."""
    if name in node.kwargs:
        return node.kwargs[name]
    names = [argument.name for argument in schema_of(node.target).arguments]
    position = names.index(name) if name in names else len(node.args)
    return node.args[position] if position < len(node.args) else None


def number_in(node: fx.Node) -> float | None:
    """The number in a constant of one entry, as the model has it now; `None` elsewhere."""
    number = node.meta.get("number")
    return number if isinstance(number, float) else None


def is_written(node: fx.Node) -> bool:
    """Whether an operator writes into a value by its own name, such as a running mean."""
    return any(_writes(user, node) for user in node.users)


def _writes(user: fx.Node, node: fx.Node) -> bool:
    """Whether `user` writes into `node`, by its schema; a graph inside may do anything."""
    schema = schema_of(user.target)
    if schema is None:
        return user.op == "call_function" and user.target is not operator.getitem
    names = [argument.name for argument in schema.arguments]
    given = dict(zip(names, user.args, strict=False)) | dict(user.kwargs)
    written = {a.name for a in schema.arguments if a.alias_info and a.alias_info.is_write}
    return any(given.get(name) is node for name in written)

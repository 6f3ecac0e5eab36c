"""What a node of a graph is: its operator's name, its module, and what it writes into."""

from typing import Final

from torch import Tensor, fx

# Operators of higher order that run their graph once, on what follows it.
WRAPPERS: Final = frozenset(
    {"wrap_with_set_grad_enabled", "wrap_with_autocast", "tag_activation_checkpoint"}
)


def name_of(node: fx.Node) -> str:
    """The ATen name without overload, such as `add_`; nothing if it is no operator of ATen."""
    parts = str(node.target).split(".")
    return parts[1] if node.op == "call_function" and len(parts) > 2 else ""


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

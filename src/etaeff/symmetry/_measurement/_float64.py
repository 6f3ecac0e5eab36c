"""A traced model run in float64, with its ε taken away and its chance switched off."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, fx

from etaeff.symmetry._measurement._depthwise import depthwise
from etaeff.symmetry._measurement._remade import keeps_its_result, remade
from etaeff.symmetry._measurement._saved import Saved
from etaeff.symmetry._measurement._stand_ins import STAND_INS, WITHOUT_EPSILON, shorten_
from etaeff.symmetry._measurement._weights import Lazy
from etaeff.symmetry._measurement._wide import WIDE_TYPE, double, kept, wide
from etaeff.symmetry._operators._epsilon import epsilon_of
from etaeff.symmetry._operators._memory import shares_memory
from etaeff.symmetry._operators._operator import Chance, Operator
from etaeff.symmetry._operators._table import operator_of
from etaeff.symmetry._tracing._graph import Graph
from etaeff.symmetry._tracing._nodes import (
    WRAPPERS,
    is_in_place,
    name_of,
    operator_name,
    written_by,
)
from etaeff.symmetry._tracing._torch import (
    argument_names,
    beside,
    is_operator,
    numbers_by_default,
    overload_name,
)

TINY: Final = 1e-30  # batch_norm refuses an ε of zero
_HEADS: Final = 1 - 1e-9  # drawn from [0, 1), where 1 − p is added and rounded down to 0 or 1


class Float64(fx.Interpreter):
    """Runs a graph with float64 in place of every other real type.

    Args:
        module: The graph.
        own_epsilon: Keep ε as the model has it.
        own_types: Keep types too.
        device: Where everything is computed; by default, where the graph says.
    """

    def __init__(
        self,
        module: fx.GraphModule,
        *,
        own_epsilon: bool,
        own_types: bool = False,
        device: torch.device | None = None,
    ) -> None:
        """Ready to `run`."""
        super().__init__(module, garbage_collect_values=True)
        self.own_epsilon, self.own_types = own_epsilon, own_types
        self.device = device
        self.saved: Saved | None = None

    def map_nodes_to_values(self, args: Any, n: fx.Node) -> Any:
        """Arguments of a node, weights among them made now."""
        values = super().map_nodes_to_values(args, n)
        return fx.node.map_aggregate(values, lambda v: v.make() if isinstance(v, Lazy) else v)

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Constants in float64."""
        constant = super().get_attr(target, args, kwargs)
        return (kept if self.own_types else double)(constant, self.device)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """One operator, with its ε and types replaced."""
        if not is_operator(target):
            return self._of_higher_order(target, args, kwargs)
        name = operator_name(target)
        row = operator_of(name)
        if (made := self._without_chance(target, row, args)) is not None:
            return made
        if name == "embedding_renorm_":
            return shorten_(*args, epsilon=self.own_epsilon)
        schema = argument_names(target)
        given = dict(zip(schema, args, strict=False)) | dict(kwargs)
        given = numbers_by_default(target) | given  # an ε among them
        own = "" if self.own_epsilon else epsilon_of(self._node)
        changed = {key: self._replaced(own, name, key, value) for key, value in given.items()}
        for key in {"dropout_p", "dropout"} & changed.keys():  # of attention, of an LSTM
            changed[key] = 0.0
        if row.chance is Chance.SLOPES:
            changed["training"] = False
        if "eps" in row.epsilon and changed.get("eps") is None:  # its type's own
            changed["eps"] = self._epsilon_of_type() if self.own_epsilon else TINY
        native = self.own_types or (self.own_epsilon and name in WITHOUT_EPSILON)
        if name in STAND_INS and not native:
            return STAND_INS[name](**{key: changed[key] for key in schema if key in changed})
        positional = [changed.pop(key) for key in schema[: len(args)]]
        result = self._known_again(target, positional, changed)
        if row.chance is Chance.UNIFORM and _decides_by_floor(self._node):
            result.fill_(_HEADS)
        return result if self.own_types else fx.node.map_aggregate(result, wide)

    def _without_chance(self, target: Any, row: Operator, args: Any) -> Any:
        """The result of an operator that would drop something or detach; `None` of another."""
        if row.detaches or row.chance is Chance.DROPS:
            return args[0]  # derivatives are those of the function, whatever is trained
        if row.chance is Chance.DROPS_AND_RETURNS_MASK:
            return args[0], torch.ones_like(args[0])
        if row.chance is Chance.COIN and overload_name(target) in ("p", "float"):
            return args[0].fill_(1.0) if is_in_place(self._node) else torch.ones_like(args[0])
        return None

    def _known_again(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """The result of an operator, which autograd is not to keep where it is cheap to make."""
        if self.saved is None or "out" in kwargs:
            return self._written(target, args, kwargs)
        call = beside(target) if is_in_place(self._node) else target
        name = operator_name(target)
        make = remade(self.saved, name, call, args, kwargs)
        if make is None:
            return self._written(target, args, kwargs)
        with self.saved.kept_as(make) if keeps_its_result(name) else contextlib.nullcontext():
            result = self._written(target, args, kwargs)
        self.saved.remember(result, make)
        return result

    def _of_higher_order(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Operators that run graphs: the branch that is taken, or the one inside a wrapper."""
        graphs = [a for a in args if isinstance(a, fx.GraphModule)]
        if str(target) == "cond":
            return self._inner(graphs[0 if args[0] else 1]).run(*args[3])
        if str(target) in WRAPPERS:
            inner = self._inner(graphs[0])
            return inner.run(*args[args.index(graphs[0]) + 1 :])  # `no_grad` or not
        return super().call_function(target, args, kwargs)

    def _inner(self, graph: fx.GraphModule) -> "Float64":
        """What runs a graph inside this one."""
        return Float64(
            graph, own_epsilon=self.own_epsilon, own_types=self.own_types, device=self.device
        )

    def _written(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """The result of an operator, beside what it would write into if nobody reads that.

        Where a model asks for no gradients, as in a power iteration, it may write over what our
        backward pass needs.
        """
        into = kwargs.pop("out", None)  # which autograd refuses
        if isinstance(into, Tensor):
            result = target.overloadpacket(*args, **kwargs)
            return result if self._read_by_result() else into.copy_(result)
        if is_in_place(self._node) and self._read_by_result():
            if target is torch.ops.aten.copy_.default:  # `copy` has no derivative
                return args[0].clone().copy_(*args[1:])
            target = beside(target)
        given = dict(zip(argument_names(target), args, strict=False)) | kwargs
        result = depthwise(operator_name(target), given)
        return target(*args, **kwargs) if result is None else result

    def run_node(self, n: fx.Node) -> Any:
        """One operator; which one it is is remembered."""
        self._node = n
        return super().run_node(n)

    def _read_by_result(self) -> bool:
        """Whether what this node writes into is read later as its result alone."""
        by, written = self._node, written_by(self._node)
        while written is not None:
            others = [user for user in written.users if user is not by]
            if any(user > self._node or shares_memory(user) is written for user in others):
                return False
            by, written = written, shares_memory(written)
            if written is not None and written_by(by) is not written:
                return False  # a view
        return True

    def _epsilon_of_type(self) -> float:
        """The ε that a norm takes if it is given none: that of its input's type."""
        given = self._node.args[0]
        dtype = given.meta["val"].dtype if isinstance(given, fx.Node) else torch.float32
        return float(torch.finfo(dtype).eps)

    def _replaced(self, own: str, name: str, key: str, value: Any) -> Any:
        """An argument with types widened and, unless it is to be kept, ε taken away.

        That of a norm has its name; that of a sum is the argument `own`.
        """
        if isinstance(value, torch.dtype):
            return value if self.own_types else WIDE_TYPE.get(value, value)
        if isinstance(value, torch.device) and value.type != "meta":
            return self.device or value
        if key == "padding_idx" and name == "embedding":
            return -1  # its row is told no gradient, whatever it does
        if self.own_epsilon:
            return value
        if key in ("eps", "epsilon") and isinstance(value, float):
            return TINY
        if key == own:
            return torch.full_like(value, TINY) if isinstance(value, Tensor) else TINY
        return value


Run: TypeAlias = Callable[[Mapping[str, Lazy], Sequence[Any]], list[Tensor]]


def runner(
    graph: Graph,
    *,
    own_epsilon: bool,
    own_types: bool = False,
    device: torch.device | None = None,
) -> Run:
    """The model as a function of its parameters (by name) and its flat inputs.

    It returns the outputs that hold real numbers. Buffers are as they were when it was traced.
    """
    interpreter = Float64(graph.module, own_epsilon=own_epsilon, own_types=own_types, device=device)
    given = kept if own_types else double
    placeholders = [node.name for node in graph.module.graph.nodes if node.op == "placeholder"]
    rewritten = {
        _base(node).name
        for node in graph.module.graph.nodes
        if node.op == "call_function" and is_in_place(node)
    }
    writes = not rewritten.isdisjoint(graph.parameters)

    def run(parameters: Mapping[str, Lazy], inputs: Sequence[Any]) -> list[Tensor]:
        waiting = iter(inputs)
        values = []
        for placeholder in placeholders:
            if placeholder in graph.parameters:
                weight = parameters[graph.parameters[placeholder]]
                values.append(weight.make() if placeholder in rewritten else weight)
            elif placeholder in graph.constants:
                values.append(given(graph.constants[placeholder], device))
            else:
                values.append(given(next(waiting)))
        lazy = next((weight.saved for weight in parameters.values()), None)
        # Where weights are written over, autograd keeps what they were.
        interpreter.saved = None if writes else lazy
        with kept_as_copies() if writes else contextlib.nullcontext():
            result = interpreter.run(*values)
        interpreter.saved = None  # it would hold the weights and results until the next run
        interpreter.args_iter = iter(())
        interpreter.env.clear()
        flat = result if isinstance(result, list | tuple) else [result]
        return real([v for v in flat if isinstance(v, Tensor)])

    return run


def kept_as_copies() -> contextlib.AbstractContextManager[Any]:
    """Autograd keeps copies of what it needs, which may be written over."""
    return torch.autograd.graph.saved_tensors_hooks(lambda v: v.detach().clone(), lambda v: v)


def _base(node: fx.Node) -> fx.Node:
    """The node in whose memory a node lies, and that in none."""
    source = written_by(node) or shares_memory(node)
    return node if source is None else _base(source)


def together(runs: Sequence[Run]) -> Run:
    """All of them, one after the other: the outputs of one, then of the next."""
    if len(runs) == 1:
        return runs[0]
    return lambda parameters, inputs: [v for run in runs for v in run(parameters, inputs)]


def real(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Those that hold real numbers, and the parts of complex ones."""
    dense = [v.to_dense() if v.layout != torch.strided else v for v in tensors]
    parts = [torch.view_as_real(v.resolve_conj()) if v.is_complex() else v for v in dense]
    return [v for v in parts if v.is_floating_point()]


def _decides_by_floor(node: fx.Node) -> bool:
    """Whether numbers in [0, 1) are drawn to be shifted and rounded down, as to drop a branch."""
    names = {user: name_of(user) for user in node.users}
    return bool(names) and all(
        name in ("floor", "floor_") or (name in ("add", "add_") and _decides_by_floor(user))
        for user, name in names.items()
    )

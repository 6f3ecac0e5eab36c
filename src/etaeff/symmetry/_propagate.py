"""Degrees carried through a traced graph, operator by operator."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import torch
from torch import Tensor, fx

from etaeff.symmetry._degrees import FREE, Constraints, Degree, plus
from etaeff.symmetry._graph import Graph
from etaeff.symmetry._operators import VIEWS, is_in_place, name_of
from etaeff.symmetry._rules import INDEXED, KINDS
from etaeff.symmetry._special import SPECIAL, Call, Value, flat

_ENDING: Final = frozenset(
    """batch_norm instance_norm layer_norm group_norm rms_norm mul multiply div divide true_divide
    mul_ div_""".split()  # noqa: SIM905
)


@dataclass
class Flow:
    """What propagation finds.

    Attributes:
        constraints: What must vanish.
        outputs: The outputs that hold real numbers.
        unknown: Operators without a rule, each once.
        absorbed: For each parameter, by index, the modules in which its degree ends: a
            normalisation, say.
    """

    constraints: Constraints = field(default_factory=Constraints)
    outputs: list[Value] = field(default_factory=list)
    unknown: dict[str, None] = field(default_factory=dict)
    absorbed: dict[int, list[tuple[str, str]]] = field(default_factory=dict)


def propagate(graph: Graph, parameters: Mapping[str, int]) -> Flow:
    """Degrees of everything in `graph`.

    Args:
        graph: A traced model.
        parameters: Index of each parameter by every name that it has; tied names share one.
    """
    flow = Flow()
    inputs = []
    for node in graph.module.graph.nodes:
        if node.op != "placeholder":
            continue
        name = graph.parameters.get(node.name)
        degree: Degree = FREE if name is None else {parameters[name]: Fraction(1)}
        inputs.append(_value(node.meta.get("val"), degree))
    results = _Interpreter(graph.module, flow).run(inputs)
    flow.outputs = [value for value in flat(results) if value.floating]
    return flow


class _Interpreter:
    """One graph; those of control flow and `no_grad` inside it are interpreted in turn."""

    def __init__(self, module: fx.GraphModule, flow: Flow) -> None:
        self.module = module
        self.flow = flow
        self.values: dict[fx.Node, Any] = {}
        self.bases: dict[fx.Node, fx.Node] = {}

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        waiting = iter(inputs)
        for node in self.module.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = next(waiting)
            elif node.op == "get_attr":
                self.values[node] = self._attribute(node)
            elif node.op == "output":
                result = self._filled(node.args[0])
                return list(result) if isinstance(result, list | tuple) else [result]
            else:
                self.values[node] = self._call(node)
        return []

    def _attribute(self, node: fx.Node) -> Any:
        found: Any = self.module
        for part in str(node.target).split("."):
            found = getattr(found, part)
        if isinstance(found, Tensor):
            zero = found.device.type != "meta" and found.numel() < 1e6 and not bool(found.any())
            return _value(found, None if zero else FREE)
        return found

    def _filled(self, argument: Any) -> Any:
        return fx.node.map_arg(argument, lambda node: self.values[node])

    def _call(self, node: fx.Node) -> Any:
        args, kwargs = self._filled(node.args), self._filled(node.kwargs)
        target: Any = node.target
        if target is operator.getitem:
            return args[0][args[1]] if isinstance(args[0], list | tuple) else args[0]
        if not isinstance(target, torch._ops.OpOverload):
            graphs = [a for a in args if isinstance(a, fx.GraphModule)]
            if graphs and "cond" not in str(target):  # such as wrap_with_set_grad_enabled
                after = args[args.index(graphs[0]) + 1 :]
                return _Interpreter(graphs[0], self.flow).run([*after, *kwargs.values()])
            return self._python(node, args)
        arguments = {
            schema.name: value
            for schema, value in zip(target._schema.arguments, args, strict=False)
        } | dict(kwargs)
        name = name_of(node)
        degree = self._degree(name, arguments, node)
        self._write_back(node, name, degree)
        return _like(node.meta.get("val"), degree)

    def _python(self, node: fx.Node, args: Sequence[Any]) -> Any:
        """Arithmetic on sizes, or what has no rule."""
        tensors = flat(list(args))
        if tensors:
            self._unknown(str(node.target), tensors)
        return _like(node.meta.get("val"), FREE)

    def _degree(self, name: str, arguments: dict[str, Any], node: fx.Node) -> Degree:
        cause = f"{name} in {_module_of(node)[0] or 'the model'}"
        call = Call(name, arguments, self.flow.constraints, cause, node)
        tensors = flat(list(arguments.values()))
        degree = SPECIAL[name](call) if name in SPECIAL else self._by_kind(name, call, tensors)
        somewhere = bool(tensors) and all(v.degree is not None for v in tensors)
        if name in SPECIAL and degree is None and somewhere:
            # Its rule looked for an argument that has another name here.
            self._unknown(name, tensors)
            degree = FREE
        self._note_absorbed(name, arguments, degree, node)
        return degree

    def _by_kind(self, name: str, call: Call, tensors: list[Value]) -> Degree:
        kind = KINDS.get(name)
        if kind == "same":
            return tensors[0].degree if tensors else FREE
        if kind == "join":
            joined = [v.degree for v in tensors if v.floating or name not in INDEXED | {"where"}]
            return call.constraints.agree(joined, call.cause)
        if kind == "product":
            total: Degree = FREE
            for value in tensors:
                total = plus(total, value.degree)
            return total
        if kind == "bounded":
            for value in tensors:
                call.constraints.vanish(value.degree, call.cause)
            return FREE
        if kind in ("blind", "constant"):
            return FREE
        if kind == "nothing":
            return None
        self._unknown(name, tensors)
        return FREE

    def _unknown(self, name: str, tensors: list[Value]) -> None:
        self.flow.unknown[name] = None
        for value in tensors:
            self.flow.constraints.vanish(value.degree, f"{name}, which has no rule")

    def _note_absorbed(
        self, name: str, arguments: Mapping[str, Any], degree: Degree, node: fx.Node
    ) -> None:
        """Remember whose scale ends here: in a normalisation, or as a product's factors cancel."""
        if name not in _ENDING:
            return
        given = [arguments["input"]] if "input" in arguments else list(arguments.values())
        before = {index for value in flat(given) for index in value.degree or ()}
        for index in before - set(degree or ()):
            self.flow.absorbed.setdefault(index, []).append(_module_of(node))

    def _write_back(self, node: fx.Node, name: str, degree: Degree) -> None:
        """An operator in place changes what earlier nodes stand for."""
        if not is_in_place(node):
            return
        changed = node.args[0]
        if not isinstance(changed, fx.Node) or not isinstance(self.values.get(changed), Value):
            return
        base = changed
        while (
            base.op == "call_function"
            and name_of(base) in VIEWS
            and isinstance(base.args[0], fx.Node)
        ):
            self.values[base] = self.values[base]._replace(degree=degree)
            base = base.args[0]
        old = self.values[base]
        if isinstance(old, Value):
            if base is not changed:  # only a part of it was written
                degree = self.flow.constraints.agree([old.degree, degree], f"{name} in place")
            self.values[base] = old._replace(degree=degree)


def _value(meta: Any, degree: Degree) -> Any:
    if isinstance(meta, Tensor):
        floating = meta.is_floating_point() or meta.is_complex()
        return Value(degree if floating else FREE, floating, meta.ndim)  # places have no scale
    return meta


def _like(meta: Any, degree: Degree) -> Any:
    """The result of an operator: one tensor, or several of the same degree."""
    if isinstance(meta, list | tuple):
        return [_like(part, degree) for part in meta]
    return _value(meta, degree)


def _module_of(node: fx.Node) -> tuple[str, str]:
    """Path and class of the module in which an operator stands."""
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return "", ""
    path, kind = list(stack.values())[-1]
    return str(path), str(kind).rsplit(".", 1)[-1]

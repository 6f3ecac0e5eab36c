"""Degrees carried through a traced graph, operator by operator."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, fx

from etaeff.symmetry._operators._call import Call, NoRuleError, Value, flat, is_real, value_of
from etaeff.symmetry._operators._cuts import shape_of
from etaeff.symmetry._operators._degree_rules import same, zero
from etaeff.symmetry._operators._degrees import FREE, Constraints, Degree
from etaeff.symmetry._operators._epsilon import epsilon_of
from etaeff.symmetry._operators._memory import is_certain_view, shares_memory
from etaeff.symmetry._operators._operator import Operator
from etaeff.symmetry._operators._table import operator_of
from etaeff.symmetry._proof._pieces import Pieces, pieces_of
from etaeff.symmetry._proof._piecewise import followed, whole, whole_call
from etaeff.symmetry._tracing._graph import Graph
from etaeff.symmetry._tracing._nodes import WRAPPERS, covers, module_of, name_of, written_by
from etaeff.symmetry._tracing._torch import argument_names, is_operator, numbers_by_default
from etaeff.symmetry._tracing._values import is_zero


@dataclass
class Flow:
    """What propagation finds.

    Attributes:
        constraints: What must vanish.
        outputs: The outputs that hold real numbers.
        unknown: Operators without a rule, each once.
        absorbed: For each parameter, by index, the modules in which its degree ends: a
            normalisation, say.
        read: Exponents of what is not only looked at through views.
    """

    constraints: Constraints = field(default_factory=Constraints)
    outputs: list[Value] = field(default_factory=list)
    unknown: dict[str, None] = field(default_factory=dict)
    absorbed: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    read: set[int] = field(default_factory=set)


def propagate(graph: Graph, parameters: Mapping[str, int], pieces: Pieces | None = None) -> Flow:
    """Degrees of everything in `graph`, and what they demand.

    Args:
        graph: A traced model.
        parameters: Index of each parameter by every name that it has; tied names share one.
        pieces: Where parameters are cut; by default all are whole.
    """
    flow, values = carried(graph, parameters, pieces)
    flow.outputs = [whole(value, flow.constraints, "the outputs") for value in values]
    return flow


def carried(
    graph: Graph, parameters: Mapping[str, int], pieces: Pieces | None = None
) -> tuple[Flow, list[Value]]:
    """The same, with outputs that may be cut beside it."""
    pieces = pieces_of({}, parameters.values()) if pieces is None else pieces
    flow = Flow()
    inputs = []
    for node in graph.module.graph.nodes:
        if node.op != "placeholder":
            continue
        name, constant = graph.parameters.get(node.name), graph.constant(node)
        zeros = constant is not None and is_zero(constant)
        value = value_of(node.meta.get("val"), None if zeros else FREE)
        if name is not None and value.floating and value.degree is not None:
            value = pieces.value(parameters[name], value)
        inputs.append(value)
    results = _Interpreter(graph.module, flow).run(inputs)
    return flow, [value for value in flat(results) if value.floating]


def united(flows: Sequence[Flow]) -> Flow:
    """What several graphs of one model demand together."""
    if len(flows) == 1:
        return flows[0]
    both = Flow()
    for flow in flows:
        for row, cause in zip(flow.constraints.rows, flow.constraints.causes, strict=True):
            both.constraints.vanish(row, cause)
        both.outputs += flow.outputs
        both.unknown |= flow.unknown
        both.read |= flow.read
        for index, modules in flow.absorbed.items():
            both.absorbed.setdefault(index, []).extend(modules)
    return both


class _Interpreter:
    """One graph; those of control flow and `no_grad` inside it are interpreted in turn."""

    def __init__(self, module: fx.GraphModule, flow: Flow) -> None:
        self.module = module
        self.flow = flow
        self.values: dict[fx.Node, Any] = {}
        # Of each view its base, and whether it lies there for certain; of each base its views.
        self.bases: dict[fx.Node, tuple[fx.Node, bool]] = {}
        self.views: dict[fx.Node, list[fx.Node]] = {}

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """The outputs, as values; inputs are those of the placeholders in order."""
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
                self._note_memory(node)
        return []

    def _attribute(self, node: fx.Node) -> Any:
        """A constant of the module, or a graph in it."""
        attribute: Any = self.module
        for part in str(node.target).split("."):
            attribute = getattr(attribute, part)
        if isinstance(attribute, Tensor):
            return value_of(attribute, None if is_zero(attribute) else FREE)
        return attribute

    def _filled(self, argument: Any) -> Any:
        """An argument with the value of each node in its stead."""
        return fx.node.map_arg(argument, lambda node: self.values[node])

    def _call(self, node: fx.Node) -> Any:
        """What a node puts out, as a value or a list of them."""
        args, kwargs = self._filled(node.args), self._filled(node.kwargs)
        target: Any = node.target
        if target is operator.getitem:
            return args[0][args[1]] if isinstance(args[0], list | tuple) else args[0]
        if not is_operator(target):
            if str(target) in WRAPPERS:
                return self._wrapped(node, args)
            return self._python(node, [*args, *kwargs.values()])
        given = dict(zip(argument_names(target), args, strict=False)) | dict(kwargs)
        arguments = numbers_by_default(target) | given
        name = name_of(node)
        result = self._result(name, arguments, node)
        written = written_by(node)
        if written is not None and isinstance(result, Value):
            self._write(written, result, certain=True, cause=f"{name} in place")
        return result

    def _wrapped(self, node: fx.Node, args: Sequence[Any]) -> Any:
        """The graph inside; what it writes into is known by other names outside."""
        position = next(i for i, given in enumerate(args) if isinstance(given, fx.GraphModule))
        inner = _Interpreter(args[position], self.flow)
        results = inner.run(args[position + 1 :])
        inside = [
            placeholder
            for placeholder in args[position].graph.nodes
            if placeholder.op == "placeholder"
        ]
        for placeholder, outer in zip(inside, node.args[position + 1 :], strict=False):
            value = inner.values[placeholder]
            if isinstance(outer, fx.Node) and value is not self.values[outer]:
                self._write(outer, value, certain=False, cause=f"{node.target}")
        return results

    def _python(self, node: fx.Node, args: Sequence[Any]) -> Any:
        """Arithmetic on sizes, or what has no rule."""
        tensors = flat(list(args))
        if tensors:
            self._unknown(str(node.target), tensors)
        return _like(node.meta.get("val"), FREE)

    def _result(self, name: str, arguments: dict[str, Any], node: fx.Node) -> Any:
        """What an operator puts out, as a value or a list of them."""
        row = operator_of(name)
        cause = f"{name} in {module_of(node)[0] or 'the model'}"
        meta = node.meta.get("val")
        shape = shape_of(meta)
        call = Call(name, arguments, self.flow.constraints, cause, shape, epsilon_of(node))
        if row.degree is not same:  # what moves entries may leave some of them out
            self.flow.read |= {i for v in call.tensors for d in v.degrees for i in d or ()}
        try:
            result = followed(row, call, node, lambda piece: _by_rule(row, piece))
            if result is None:
                result = _like(meta, _by_rule(row, whole_call(call, row)))
        except NoRuleError:
            self._unknown(name, call.tensors)
            return _like(meta, FREE)
        if isinstance(result, Value) and not is_real(meta):
            return _like(meta, FREE)
        if isinstance(result, Value):
            self._note_absorbed(row, arguments, result, node)
        return result

    def _unknown(self, name: str, tensors: list[Value]) -> None:
        """Remember that there is no rule, and demand what is safe."""
        self.flow.unknown[name] = None
        for value in tensors:
            for degree in value.degrees:
                self.flow.constraints.vanish(degree, f"{name}, which has no rule")

    def _note_absorbed(
        self, row: Operator, arguments: Mapping[str, Any], result: Value, node: fx.Node
    ) -> None:
        """Remember whose scale ends: in a normalisation, or as a product's factors cancel."""
        if not row.ends_scale:
            return
        given = [arguments["input"]] if "input" in arguments else list(arguments.values())
        before, after = (
            {index for value in values for degree in value.degrees for index in degree or ()}
            for values in (flat(given), [result])
        )
        for index in before - after:
            self.flow.absorbed.setdefault(index, []).append(module_of(node))

    def _note_memory(self, node: fx.Node) -> None:
        """Remember of which node a result is a view."""
        source = shares_memory(node)
        if source is not None:
            base, certain = self.bases.get(source, (source, True))
            self.bases[node] = base, certain and is_certain_view(node)
            self.views.setdefault(base, []).append(node)

    def _write(self, written: fx.Node, new: Value, *, certain: bool, cause: str) -> None:
        """What is written in place changes what other nodes of the same memory stand for.

        Where only a part is written, or perhaps nothing but a copy, old and new must agree.
        """
        base, known = self.bases.get(written, (written, True))
        certain = certain and known
        for node in (base, *self.views.get(base, ())):
            sure = certain and self.bases.get(node, (base, True))[1] and covers(written, base)
            self.values[node] = self._rewritten(self.values[node], new, sure, cause)

    def _rewritten(self, old: Any, new: Value, sure: bool, cause: str) -> Any:
        """The value of memory into which something was written."""
        if isinstance(old, list):
            return [self._rewritten(part, new, sure, cause) for part in old]
        if not isinstance(old, Value) or not old.floating:
            return old
        if sure and old.shape == new.shape:
            return old._replace(degree=new.degree, cut=new.cut)
        both = [*new.degrees, *(() if sure else old.degrees)]
        return old._replace(degree=self.flow.constraints.agree(both, cause), cut=None)


def _by_rule(row: Operator, call: Call) -> Degree | list[Degree]:
    """The degree by the rule of an operator.

    Raises:
        NoRuleError: If there is none, or it looked for an argument that has another name.
    """
    if row.degree is None:
        raise NoRuleError
    degree = row.degree(call)
    somewhere = bool(call.tensors) and all(v.degree is not None for v in call.tensors)
    if degree is None and somewhere and row.degree is not zero:
        raise NoRuleError
    return degree


def _like(meta: Any, degree: Degree | list[Degree]) -> Any:
    """The result of an operator: one tensor, or several, of the same degree if one is given."""
    if isinstance(meta, list | tuple):
        each = degree if isinstance(degree, list) else [degree] * len(meta)
        return [_like(part, single) for part, single in zip(meta, each, strict=True)]
    assert not isinstance(degree, list)
    return value_of(meta, degree)

"""Where the gain of a normalisation stands: what its scale meets next."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from torch import fx

from etaeff.records.audits import DecayKind
from etaeff.symmetry._effects import DecayEffect
from etaeff.symmetry._tracing._graph import Graph
from etaeff.symmetry._tracing._nodes import module_of, name_of

_MAPS: Final = ("linear", "mm", "matmul", "conv", "einsum")  # in the names of linear maps
_SILENT: Final = (DecayKind.INERT, DecayKind.FROZEN)
_BEFORE_A_NORM: Final = (
    "It is a gain before a linear map that another normalisation follows, where decay is said to "
    "help (arXiv:2605.26895)."
)
_BEFORE_THE_OUTPUT: Final = (
    "It is a gain before the output, where decay is said to harm (arXiv:2605.26895)."
)


class _End(NamedTuple):
    """Where a path ends: at the output or at another normalisation, by a linear map or not."""

    is_output: bool
    is_mapped: bool


def with_gains(
    effects: Mapping[str, DecayEffect], graph: Graph | None, aliases: Mapping[str, str]
) -> dict[str, DecayEffect]:
    """The verdicts, with a sentence more on gains of which the graph tells where they stand.

    Args:
        effects: What decay does to each parameter.
        graph: The traced model, if it could be traced.
        aliases: First name of every name.
    """
    told = dict(effects)
    for node in graph.module.graph.nodes if graph is not None else ():
        name = aliases.get(graph.parameters.get(node.name, "")) if graph is not None else None
        if name is None or node.op != "placeholder" or not _is_gain(name, effects[name]):
            continue
        sentence = _place(node)
        if sentence and told[name] is effects[name]:
            told[name] = replace(effects[name], why=f"{effects[name].why} {sentence}")
    return told


def _is_gain(name: str, effect: DecayEffect) -> bool:
    """Whether a parameter may be a gain: a vector that is no bias, and on which decay acts."""
    last = name.rpartition(".")[2]
    return len(effect.shape) == 1 and "bias" not in last and effect.effect not in _SILENT


def _place(gain: fx.Node) -> str:
    """What is said of a gain where all paths from it lead to one kind of place."""
    norms = {_norm(user) for user in gain.users}
    if len(norms) != 1 or "" in norms:
        return ""
    ends = set(_ends(gain, norms.pop()))
    if ends and all(end.is_mapped and not end.is_output for end in ends):
        return _BEFORE_A_NORM
    return _BEFORE_THE_OUTPUT if ends and all(end.is_output for end in ends) else ""


def _ends(gain: fx.Node, own: str) -> Iterator[_End]:
    """Where the paths from a gain end, past its own normalisation."""
    waiting, seen = [(user, False) for user in gain.users], set()
    while waiting:
        node, is_mapped = waiting.pop()
        if (node, is_mapped) in seen:
            continue
        seen.add((node, is_mapped))
        if node.op == "output" or _norm(node) not in ("", own):
            yield _End(node.op == "output", is_mapped)
            continue
        is_mapped = is_mapped or any(word in name_of(node) for word in _MAPS)
        waiting += [(user, is_mapped) for user in node.users]


def _norm(node: fx.Node) -> str:
    """The normalisation in which a node stands, or that it is; nothing if it is in none."""
    path, kind = module_of(node)
    if "norm" in kind.lower():
        return path or kind
    return node.name if "norm" in name_of(node) else ""

"""Sums, means, norms, extrema and orders along axes."""

from typing import Final

from etaeff.symmetry._operators._axes import all_but, reduced
from etaeff.symmetry._operators._call import Call
from etaeff.symmetry._operators._degree_rules import blind, bounded, joined, power, same
from etaeff.symmetry._operators._degrees import FREE, Degree, times
from etaeff.symmetry._operators._operator import Operator, rows


def _extremum(call: Call) -> Degree:
    """Along an axis, or of two tensors."""
    if "other" in call.arguments:
        return call.join(*call.kept("self", "other"))
    return call.degree("self")


def _norm(call: Call) -> Degree:
    """A norm, or with p = 0 the number of entries that are not zero."""
    p = call.arguments.get("p", call.arguments.get("ord"))
    return FREE if p == 0 and not isinstance(p, str) else call.degree("self")


def _distance(call: Call) -> Degree:
    degree = joined(call)
    return FREE if call.arguments.get("p") == 0 else degree


def _counted(call: Call) -> Degree:
    return call.degree("weights") if call.arguments.get("weights") is not None else FREE


def _quantile(call: Call) -> Degree:
    call.vanish(call.degree("q"))
    return call.degree("self")


def _variance_and_mean(call: Call) -> list[Degree]:
    (given,) = call.tensors
    return [times(given.degree, 2), given.degree]


REDUCTIONS: Final = rows(
    ("sum mean nansum nanmean amax amin std frobenius_norm", Operator(same, axes=reduced)),
    ("cumsum cumsum_", Operator(same, axes=all_but("dim"))),
    ("""aminmax median nanmedian mode kthvalue sort topk msort cummax cummin std_mean
     linalg_matrix_norm nuclear_norm linalg_svdvals trace""", Operator(same)),
    ("diff", Operator(joined)),
    ("max", Operator(_extremum, epsilon=("other", "self"))),
    ("min", Operator(_extremum)),
    ("norm linalg_norm linalg_vector_norm", Operator(_norm, axes=reduced)),
    ("cdist dist pdist pairwise_distance", Operator(_distance)),
    ("bincount", Operator(_counted)),
    ("quantile nanquantile", Operator(_quantile)),
    ("var", Operator(power(2), axes=reduced)),
    ("var_mean", Operator(_variance_and_mean)),
    ("prod cumprod logsumexp logcumsumexp histc renorm", Operator(bounded)),
    ("argmax argmin argsort any all count_nonzero cosine_similarity", Operator(blind)),
)  # fmt: skip

"""Models with their scaling symmetries by hand: the truth for whatever finds symmetries.

Every label was derived on paper from the mathematics, never read off an audit, and every case says
in a sentence why. A symmetry multiplies each parameter by a power of t and leaves the outputs as
they are; `Case` says how it is written, and what the other labels mean.

Examples:
    What is forgotten, what is handed on, and why:

    >>> from etaeff.testing import zoo
    >>> case = zoo.cases("layer norms")["linear, layer norm"]
    >>> print(case.because)
    Layer Normalization forgets the scale of all features together, to which weight and bias \
contribute; gain and shift go through ReLU to the head.
    >>> names = [name for name, _ in case.model().named_parameters()]
    >>> case.basis(names)
    [{'first.weight': 1, 'first.bias': 1}, {'norm.weight': 1, 'norm.bias': 1, 'head.weight': -1}]
    >>> case.contains({"first.weight": 1}, names)  # the bias would have to follow
    False

    An auditor that guesses by the number of axes which tensors may be scaled by themselves, beside
    the truth:

    >>> right = wrong = missed = 0
    >>> for case in zoo.cases().values():
    ...     shapes = {name: p.shape for name, p in case.model().named_parameters()}
    ...     guess = {name for name, shape in shapes.items() if len(shape) > 1}
    ...     truth = {name for name in shapes if case.contains({name: 1}, shapes)}
    ...     right += len(guess & truth)
    ...     wrong += len(guess - truth)
    ...     missed += len(truth - guess)
    >>> right, wrong, missed
    (61, 212, 25)
"""

from etaeff.testing.zoo._case import Case, exponents, matching
from etaeff.testing.zoo._catalogue import FAMILIES, cases

__all__ = ["FAMILIES", "Case", "cases", "exponents", "matching"]

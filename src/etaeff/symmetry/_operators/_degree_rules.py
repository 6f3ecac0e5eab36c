r"""Rules of degrees that many operators share.

================  =============================================================
rule              degree of the output, and what is demanded
================  =============================================================
`same`            that of the first tensor: f(cx) = c f(x)
`joined`          that of all tensors, which must agree: sums, concatenations
`product`         the sum of those of all tensors
`power`           that of the first argument, times a number
`bounded`         zero, as the inputs must have: exp, softmax, gelu
`blind`           zero, whatever the inputs have: f(cx) = f(x) for c > 0
`constant`        zero
`zero`            any: the value is zero everywhere
================  =============================================================
"""

from collections.abc import Callable

from etaeff.symmetry._operators._call import Call
from etaeff.symmetry._operators._degrees import FREE, Degree, plus, times


def same(call: Call) -> Degree:
    """That of the first tensor."""
    return call.tensors[0].degree if call.tensors else FREE


def joined(call: Call) -> Degree:
    """That of all tensors, which must agree."""
    return call.join(*(value.degree for value in call.tensors))


def product(call: Call) -> Degree:
    """The sum of those of all tensors."""
    total: Degree = FREE
    for value in call.tensors:
        total = plus(total, value.degree)
    return total


def power(exponent: float) -> Callable[[Call], Degree]:
    """The rule of x to some power."""
    return lambda call: times(call.degree("self"), exponent)


def bounded(call: Call) -> Degree:
    """Zero, as all inputs must have."""
    return call.vanish(*(value.degree for value in call.tensors))


def blind(_call: Call) -> Degree:
    """Zero, whatever the inputs have: signs, places, truth."""
    return FREE


def constant(_call: Call) -> Degree:
    """Zero: it is made of no tensor."""
    return FREE


def zero(_call: Call) -> Degree:
    """Any. What is empty is zero too, since it is written before it is read."""
    return None

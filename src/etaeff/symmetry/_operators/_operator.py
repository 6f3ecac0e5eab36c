"""What can be said of an operator of ATen: the columns of the table.

A row is an `Operator`. It stands in the file of its family (`_arithmetic.py`, `_nonlinear.py`,
`_shapes.py`, `_placing.py`, `_reductions.py`, `_products.py`, `_normalisation.py`, `_pooling.py`,
`_recurrent.py`, `_constants.py`, `_taken_apart.py`), beside the rules that only its family has;
`_table.py` puts them together. What a row does not say has the default: nothing is known of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from torch import Tensor

from etaeff.symmetry._operators._axes import AxesRule
from etaeff.symmetry._operators._call import Call
from etaeff.symmetry._operators._degrees import Degree
from etaeff.symmetry._operators._shifts import MaskedShift, ShiftedCall

DegreeRule: TypeAlias = Callable[[Call], Degree | list[Degree]]
ShiftRule: TypeAlias = Callable[[ShiftedCall], Tensor | MaskedShift | list[Tensor] | None]


class Memory(Enum):
    """Where a result lies, beyond what ATen's schemas say.

    That an operator writes into its first argument needs no column: its name ends in `_`.
    """

    AS_ITS_SCHEMA_SAYS = auto()
    VIEW = auto()  # surely in the memory of the first argument, and not perhaps in a copy
    MAY_BE_ITS_INPUT = auto()  # or lie in it, without a word in the schema


class Division(Enum):
    """In which case an operator needs its argument to be kept from zero, as by an ε."""

    NONE = auto()
    ALWAYS = auto()  # roots and reciprocals
    BY_THE_SECOND = auto()
    POWER_BELOW_ONE = auto()


class Chance(Enum):
    """What an operator draws, which a measurement switches off."""

    NONE = auto()
    DROPS = auto()  # entries: it is the identity then
    DROPS_AND_RETURNS_MASK = auto()
    COIN = auto()  # of probability p, to drop a branch: all ones then
    UNIFORM = auto()  # in [0, 1), perhaps to be rounded down to a coin
    SLOPES = auto()  # of a nonlinearity, when it trains


class Layout(Enum):
    """How an operator only moves entries, so that pieces of its argument are pieces of its result.

    What computes with them says in `axes` which axes belong together.
    """

    NONE = auto()
    IN_ORDER = auto()  # the shape is another, and the entries are in the same order
    VIEWS = auto()  # one or more views of the first argument
    JOINED = auto()  # along the axis `dim`
    STACKED = auto()  # along a new axis `dim`


@dataclass(frozen=True)
class Operator:
    """One row.

    Attributes:
        degree: The degree of the result, and what is demanded. Without one, its inputs must have
            degree zero and so has its output, which is always safe, and the audit says so.
        shift: What becomes of a shift that reaches it; without one, it is not forgotten.
        memory: Where the result lies.
        epsilon: Names of the arguments that may be an ε.
        division: Whether an ε may stand before it.
        carries: Whether what only keeps its argument from zero still does so for its result: it
            changes the shape, or is monotonic and zero at zero.
        layout: How it moves entries, if that is all it does.
        axes: Along which axes it acts independently.
        compares: Whether it only tells which of two values is larger.
        chooses: Whether a condition, its first or second argument, chooses between two values.
        ends_scale: Whether it is named as the place in which the scale of a parameter ends.
        chance: What it draws.
        detaches: Whether no gradient passes it.
    """

    degree: DegreeRule | None = None
    shift: ShiftRule | None = None
    memory: Memory = Memory.AS_ITS_SCHEMA_SAYS
    epsilon: tuple[str, ...] = ()
    division: Division = Division.NONE
    carries: bool = False
    layout: Layout = Layout.NONE
    axes: AxesRule | None = None
    compares: bool = False
    chooses: bool = False
    ends_scale: bool = False
    chance: Chance = Chance.NONE
    detaches: bool = False


def rows(*groups: tuple[str, Operator]) -> dict[str, Operator]:
    """A row for each name of each group; of operators that are alike, the names stand in a line.

    Raises:
        ValueError: If a name stands in two groups.
    """
    table: dict[str, Operator] = {}
    for names, row in groups:
        for name in names.split():
            if name in table:
                raise ValueError(f"The operator {name} has two rows.")
            table[name] = row
    return table

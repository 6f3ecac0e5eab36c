"""What a kernel must offer: a step in two halves, or both in one pass over memory.

A step on spheres needs three sums of each piece between its halves,

    advance   gradient and state in; moments updated; ⟨w, w⟩, ⟨w, d⟩, ⟨d, d⟩ out
    (sums)    over the tensors of a block and over processes, in one collective
    turn      w ← α w + β d

so a block that is spread over processes works with any kernel. Where all pieces are whole in this
process, a kernel may do both at once, and read each number a single time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from etaeff.geometry import BlockTensors
from etaeff.optim._turn import Aim, Turn
from etaeff.optim.rules import Group, Rule, State


@dataclass
class BlockStep:
    """One block in one step.

    Attributes:
        tensors: The block with its parameters.
        group: Its hyperparameters.
        states: The state of each parameter, with its moments and, on 16 bits, `roundings`.
        gradients: Of each parameter, in at least float32, unscaled and with the sign of a
            descent; `None` where a tensor of a joint block has none.
        mean_square: ‖g‖²/n of each piece, n its entries, where the rule uses it.
        directions: d of each parameter, which `advance` leaves for `turn`.
    """

    tensors: BlockTensors
    group: Group
    states: Sequence[State]
    gradients: Sequence[Tensor | None]
    mean_square: Tensor | None = None
    directions: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Kernel:
    """One way to carry out a step.

    Attributes:
        name: What `repr` of an optimiser shows.
        advance: Updates the moments by a rule, and gives of each tensor of each block the sums of
            the pieces as far as they are local, of shape (3, count) in float64.
        turn: Writes αw + βd into the weights; pieces that stay keep every bit.
        one_pass: Both, for blocks whose pieces are whole in this process; or `None`. It gives for
            each block the pieces whose sums were not finite, as a mask of shape (count,): their
            weights it has left alone.
    """

    name: str
    advance: Callable[[Rule, Sequence[BlockStep]], list[list[Tensor]]]
    turn: Callable[[Sequence[BlockStep], Sequence[Turn]], None]
    one_pass: Callable[[Rule, Sequence[BlockStep], Sequence[Aim]], list[Tensor]] | None = None

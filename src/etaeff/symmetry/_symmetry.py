"""One symmetry: a direction in which parameters can be scaled."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from etaeff.records.audits import SymmetryKind


@dataclass(frozen=True)
class Symmetry:
    r"""One direction in which parameters can be scaled.

    Attributes:
        kind: Equal to `"scale-invariant"` (all exponents of one sign), `"rescaling"` (mixed signs),
            `"inert"` (one parameter, without any effect) or `"homogeneous"` (the outputs scale
            by `degree`).
        exponents: $s_p$ by parameter name: $\theta_p \to e^{t s_p}\theta_p$.
        degree: Power of the outputs; 0 for all kinds but homogeneous.
        proved: Whether the graph shows it.
        defect: Largest $|\sum_p s_p u_p| / \sum_p |s_p| \|\theta_p\| \|\nabla_p\|$ of the samples,
            in float64 with every ε at 1e-30; `None` without a measurement, or for homogeneous ones.
        own_defect: The same with the model's own ε.
    """

    kind: SymmetryKind
    exponents: Mapping[str, Fraction]
    degree: Fraction = Fraction(0)
    proved: bool = True
    defect: float | None = None
    own_defect: float | None = None

    @property
    def is_scale_invariant(self) -> bool:
        """Whether all is scaled in one direction, and the outputs stay."""
        return self.kind is SymmetryKind.SCALE_INVARIANT

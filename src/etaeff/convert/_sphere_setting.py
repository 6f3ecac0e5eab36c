"""From a setting with decay to that of a sphere optimiser, by way of one with its update."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from etaeff.convert._match import match
from etaeff.convert._sphere import to_sphere
from etaeff.errors import UnknownNameError
from etaeff.theory import Setting
from etaeff.theory.settings import OPTIMIZERS, Optimizer, optimizer_of

# The free optimiser whose update each one has.
_BASES: Final = {row.sphere: row for row in OPTIMIZERS.values() if row.sphere is not None}


@dataclass(frozen=True, kw_only=True)
class SphereSetting:
    """A sphere optimiser's hyperparameters, for weights of unit norm.

    Attributes:
        optimizer: `"sphere-sgd"`, `"sphere-adam"`, `"sphere-lion"` or `"sphere-muon"`.
        lr: Learning rate on the sphere; `None` if an input that it needs is missing.
        momentum: Of SphereSGD; else `None`.
        betas: Where they are not the default.
        wd: 0.
        angle: Turn per step in radians.
        angle_degrees: The same in degrees.
        notes: Sentences on what was chosen freely, what is missing, and where this is not exact.
    """

    optimizer: str
    lr: float | None
    momentum: float | None
    betas: tuple[float, float] | None
    wd: float
    angle: float | None
    angle_degrees: float | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it by name."""
        return asdict(self)


def sphere_setting(
    source: Setting,
    target: str,
    *,
    lr: float | None = None,
    dim: float | None = None,
    grad_norm_sq: float | None = None,
    shape: tuple[int, int] | None = None,
) -> SphereSetting:
    """The setting of a sphere optimiser that turns weights as `source` does at equilibrium.

    A setting of the optimiser whose update the target has goes to the sphere as `to_sphere` says.
    Any other is first put into a setting of that optimiser by `match`.

    Args:
        source: The setting to stand in for, with decay.
        target: `"sphere-sgd"`, `"sphere-adam"`, `"sphere-lion"` or `"sphere-muon"`.
        lr: η > 0 of the setting between, where there is one; it is chosen by default.
        dim: C: for the rate of SphereAdam and SphereLion.
        grad_norm_sq: G: for the rate of SphereSGD.
        shape: (rows, columns) of the matrix: for the rate of SphereMuon.

    Returns:
        The setting, without decay.

    Raises:
        UnknownNameError: If an optimiser is not known.
        UsageError: If an argument lies outside its range, or the target cannot turn as far.

    Examples:
        >>> sphere = sphere_setting(
        ...     Setting.parse("sgd lr=0.1 wd=5e-4 momentum=0.9"), "sphere-sgd", grad_norm_sq=2.0
        ... )
        >>> round(sphere.lr, 6), round(sphere.momentum, 4), round(sphere.angle_degrees, 4)
        (0.002237, 0.9005, 0.4157)

    References:
        `docs/theory.md`.
    """
    if target not in _BASES:
        raise UnknownNameError("sphere optimizer", target, _BASES)
    base, setting = _BASES[target], source
    notes: tuple[str, ...] = ()
    if not _has_update(optimizer_of(source.optimizer), base):
        matched = match(source, base.name, lr=lr, dim=dim, grad_norm_sq=grad_norm_sq, shape=shape)
        setting, notes = matched.setting, matched.notes
    of_matrix = shape if base.length_needs == "shape" else None
    schedule = to_sphere(setting, dim=dim, grad_norm_sq=grad_norm_sq, shape=of_matrix)
    angle = _plain(schedule.angle)
    return SphereSetting(
        optimizer=target,
        lr=_plain(schedule.lr),
        momentum=_plain(schedule.momentum),
        betas=setting.betas,
        wd=0.0,
        angle=angle,
        angle_degrees=None if angle is None else math.degrees(angle),
        notes=(*notes, *schedule.notes),
    )


def _has_update(row: Optimizer, base: Optimizer) -> bool:
    """Whether an optimiser has the update of `base`, wherever its decay acts."""
    return base.name in (row.name, row.decoupled_name)


def _plain(value: Any) -> float | None:
    """A number of Python's, where it is known."""
    return None if value is None else float(value)

"""How long a step is before the learning rate multiplies it."""

from typing import Unpack

from numpy.typing import ArrayLike

from etaeff._checks.numbers import FloatArray, positive
from etaeff.theory._models import Sizes, model_of
from etaeff.theory.settings import Hyperparameters, Setting
from etaeff.theory.settings._update_rule import rule_of


def update_norm(
    optimizer: str | Setting,
    *,
    dim: ArrayLike | None = None,
    grad_norm_sq: ArrayLike | None = None,
    **arguments: Unpack[Hyperparameters],
) -> FloatArray:
    r"""Root mean square norm of an update on the unit sphere, for a learning rate of 1.

    Times the effective learning rate it is the length of a step, and, for short steps, the angle
    that a scale-invariant weight turns. In the model of `equilibrium`, without decay:

    $$U^2 = \frac{G\kappa^2}{1 - \mu^2}\;\text{(heavy ball)}, \qquad
      C\,\frac{1 - \beta_1}{1 + \beta_1}\;\text{(Adam)}, \qquad C\;\text{(Lion)}.$$

    Args:
        optimizer: As in `equilibrium`: a `Setting`, or a name.
        dim: C; needed for all but SGD, Muon and normalised gradients.
        grad_norm_sq: G; needed for SGD.
        **arguments: Hyperparameters as in `equilibrium`: `momentum`, `dampening`, `nesterov`,
            `betas`, `alpha`, `adjust_lr_fn`, and `shape`, which Muon needs.

    Returns:
        U, of the broadcast shape.

    Raises:
        UnknownNameError: If the optimiser is not known.
        UsageError: If an argument is missing, outside its range, or not the optimiser's.

    Examples:
        >>> update_norm("sgd", momentum=0.6, grad_norm_sq=4.0)
        np.float64(2.5)
        >>> update_norm("lion", dim=100)
        np.float64(10.0)
    """
    rule = rule_of(optimizer, arguments)
    given = {"dim": dim, "grad_norm_sq": grad_norm_sq}
    sizes = {
        name: positive(name, value)
        for name, value in given.items()
        if value is not None and name == rule.optimizer.length_needs
    }
    return model_of(rule).update_norm(rule, Sizes(**sizes))

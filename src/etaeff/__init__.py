"""η_eff: the learning rate that a normalised network really uses.

Every name is loaded when it is first used: importing the package loads neither torch nor NumPy.

Examples:
    >>> import etaeff
    >>> float(etaeff.effective_lr("sgd", lr=0.1, radius=2.0))
    0.025
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etaeff import (
        convert,
        errors,
        geometry,
        layers,
        optim,
        records,
        report,
        studies,
        symmetry,
        testing,
        theory,
    )
    from etaeff.convert import drop_lr_, rescale_
    from etaeff.geometry import param_groups
    from etaeff.optim import constrain_
    from etaeff.symmetry import audit
    from etaeff.theory import effective_lr, equilibrium

    __version__: str

__all__ = [
    "__version__",
    "audit",
    "constrain_",
    "convert",
    "drop_lr_",
    "effective_lr",
    "equilibrium",
    "errors",
    "geometry",
    "layers",
    "optim",
    "param_groups",
    "records",
    "report",
    "rescale_",
    "studies",
    "symmetry",
    "testing",
    "theory",
]

_HOMES = {  # of the names that are no submodules
    "audit": "symmetry",
    "constrain_": "optim",
    "drop_lr_": "convert",
    "effective_lr": "theory",
    "equilibrium": "theory",
    "param_groups": "geometry",
    "rescale_": "convert",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "__version__":
        value: Any = import_module("importlib.metadata").version(__name__)
    elif name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        value = import_module(f"{__name__}.{name}")
    globals()[name] = value  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return __all__

"""What optimisers are called where people read of them."""

from etaeff.theory.settings._registry import OPTIMIZERS, optimizer_of
from etaeff.theory.settings._setting import Setting


def title(optimizer: str | Setting) -> str:
    """The optimiser as papers write it; of a `Setting`, with the name of its variant.

    Args:
        optimizer: A name, or a setting.

    Raises:
        UnknownNameError: If the optimiser is not known.

    Examples:
        >>> title("sgd"), title(Setting.parse("sgd lr=0.1 wd=0 momentum=0.9"))
        ('SGD', 'heavy ball')
        >>> title(Setting.parse("adam lr=1e-3 wd=0.1 decay=decoupled"))
        'AdamW'
    """
    if not isinstance(optimizer, Setting):
        return optimizer_of(optimizer).title
    row = optimizer_of(optimizer.optimizer)
    if optimizer.decay == "decoupled" and row.decoupled_name is not None:
        return OPTIMIZERS[row.decoupled_name].title
    given = optimizer.arguments()
    fitting = (name for argument, name in row.variants if given.get(argument))
    return next(fitting, row.title)

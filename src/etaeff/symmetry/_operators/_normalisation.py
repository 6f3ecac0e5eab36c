"""Normalisations: the scale of the input ends there, and so does some of what is added to it."""

from collections.abc import Callable
from typing import Final

from torch import Tensor

from etaeff.symmetry._operators._axes import Axes
from etaeff.symmetry._operators._call import Call
from etaeff.symmetry._operators._degrees import FREE, Degree
from etaeff.symmetry._operators._operator import Operator, rows
from etaeff.symmetry._operators._shifts import NotForgottenError, ShiftedCall, varying

# ---------------------------------------------------------------------------------------- degrees


def _affine(call: Call) -> Degree:
    """What a normalisation puts out: its gain and shift."""
    if call.arguments.get("weight") is None:
        return call.join(FREE, call.degree("bias"))
    return call.join(call.degree("weight"), call.degree("bias"))


def _with_statistics(call: Call) -> Degree:
    """The same; running statistics do not follow the weight, so before them nothing is scaled."""
    training = call.arguments.get("training", call.arguments.get("use_input_stats", True))
    if not training:
        names = ("input", "running_mean", "running_var")
        call.vanish(*(call.degree(name) for name in names))
    return _affine(call)


def _weight_norm(call: Call) -> Degree:
    return call.degree("g")


# ------------------------------------------------------------------------------------------- axes


def _by_channels(call: Call) -> Axes:
    """Gains and shifts, and running statistics, have an entry for each channel."""
    axes = ["batch" if call.name != "batch_norm" else None, "channel"]
    labels = [*axes, *[None] * (len(call.shape) - 2)]
    names = ("weight", "bias", "running_mean", "running_var")
    return Axes({"input": labels, **{name: ["channel"] for name in names}}, ["batch", *labels[1:]])


def _by_groups(call: Call) -> Axes:
    """The same, but a group of channels is normalised together."""
    axes = _by_channels(call)
    given, groups = call.arguments["input"], call.arguments["num_groups"]
    cut = given.cut
    if cut is not None and cut.axis == 1:
        each = cut.classes.reshape(groups, -1)
        if bool((each == each[:, :1]).all()):  # pieces are made of whole groups
            return axes
    mixed = ["batch", *[None] * (len(call.shape) - 1)]
    return Axes({**axes.given, "input": mixed}, axes.result)


def _by_places(call: Call) -> Axes:
    """The last axes are normalised together, and gains and shifts have them."""
    count = len(call.shape) - len(call.arguments["normalized_shape"])
    labels = list(range(len(call.shape)))
    before = [*labels[:count], *[None] * (len(labels) - count)]
    return Axes({"input": before, "weight": labels[count:], "bias": labels[count:]}, labels)


def _by_filters(call: Call) -> Axes:
    """All but one axis are normalised together."""
    kept = call.arguments.get("dim", 0) % max(len(call.shape), 1)
    labels = [i if i == kept else None for i in range(len(call.shape))]
    return Axes({"v": labels, "g": labels}, labels)


# ----------------------------------------------------------------------------------------- shifts


def _of_channels(call: ShiftedCall) -> Tensor:
    """The shift of a bias that has an entry for each channel."""
    return varying(call.meta.shape, {1 - len(call.meta.shape)})


def _statistics_of_shift(
    flag: str, forgotten: Callable[[Tensor], list[int]]
) -> Callable[[ShiftedCall], Tensor | None]:
    """The rule of a norm by the statistics of the input, if `flag` says that it uses them.

    Args:
        flag: Name of the argument that says so.
        forgotten: The axes over which a mean is subtracted, of a shift.
    """

    def rule(call: ShiftedCall) -> Tensor | None:
        if call.position == 2:  # its own bias
            return _of_channels(call)
        if call.position or not call.argument(5, flag, True):
            raise NotForgottenError
        call.forget(forgotten(call.shift))
        return None

    return rule


def _group_norm_of_shift(call: ShiftedCall) -> Tensor | None:
    """Groups of one channel are as good as instances."""
    if call.position == 3:  # its own bias
        return _of_channels(call)
    call.only_at(0)
    alone = call.argument(1) == call.shift.shape[1]
    call.forget(range(2 if alone else 1, call.shift.ndim))
    return None


def _layer_norm_of_shift(call: ShiftedCall) -> Tensor | None:
    axes = range(-len(call.argument(1)), 0)
    if call.position == 3:  # its own bias
        return varying(call.meta.shape, axes)
    call.only_at(0)
    call.forget(axes)
    return None


def _all_but_channels(shift: Tensor) -> list[int]:
    """The axes over which a batch norm takes means."""
    return [axis for axis in range(shift.ndim) if axis != 1]


def _spatial(shift: Tensor) -> list[int]:
    """The axes over which an instance norm takes means."""
    return list(range(2, shift.ndim))


_BATCH: Final = _statistics_of_shift("training", _all_but_channels)
_INSTANCE: Final = _statistics_of_shift("use_input_stats", _spatial)

# ------------------------------------------------------------------------------------------- rows

NORMALISATION: Final = rows(
    ("batch_norm", Operator(_with_statistics, _BATCH, axes=_by_channels, ends_scale=True)),
    ("instance_norm",
     Operator(_with_statistics, _INSTANCE, axes=_by_channels, ends_scale=True)),
    ("layer_norm",
     Operator(_affine, _layer_norm_of_shift, axes=_by_places, ends_scale=True)),
    ("group_norm",
     Operator(_affine, _group_norm_of_shift, axes=_by_groups, ends_scale=True)),
    ("rms_norm", Operator(_affine, epsilon=("eps",), axes=_by_places, ends_scale=True)),
    ("_weight_norm", Operator(_weight_norm, axes=_by_filters)),
)  # fmt: skip

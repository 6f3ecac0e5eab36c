"""The three conversions of `etaeff convert`, each as plain values and as text."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from etaeff._words import typed
from etaeff.cli._files import write_json
from etaeff.cli._pairs import pair
from etaeff.cli._tables import aligned, bulleted
from etaeff.convert import (
    Setting,
    exponential_rows,
    exponential_schedule,
    match,
    match_rows,
    sphere_setting,
)
from etaeff.errors import UsageError
from etaeff.theory import lr_schedule, update_norm
from etaeff.theory.settings import OPTIMIZERS

_FLOAT32: Final = 38  # powers of ten that it holds
_EQUILIBRIUM: Final = (
    ("angle_degrees", "angle, ° per step"),
    ("half_life", "half-life, steps"),
    ("radius", "radius"),
    ("effective_lr", "effective lr"),
)


def matched(options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The setting of another free optimiser.

    Args:
        options: What was typed, by name.
    """
    setting = Setting.parse(options["source"])
    result = match(setting, options["target"], **_sizes(options, setting), lr=options["lr"])
    rows = match_rows(result)
    values = {**rows, "source": {"setting": options["source"], **rows["source"]}}
    source, target = values["source"], values["target"]
    table = [[name, typed(source[key]), typed(target[key])] for key, name in _EQUILIBRIUM]
    head = f"{source['setting']}\n→ {target['setting']}"
    return values, _page(head, aligned([["", "from", "to"], *table], right=[1, 2]), result.notes)


def on_sphere(options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The setting of a sphere optimiser.

    Args:
        options: What was typed, by name.
    """
    source = Setting.parse(options["source"])
    result = sphere_setting(source, options["target"], **_sizes(options, source), lr=options["lr"])
    target = result.to_dict()
    notes = target.pop("notes")
    rows = [["lr", typed(result.lr, 6)]]
    if result.momentum is not None:
        rows.append(["momentum", typed(result.momentum, 6)])
    if result.betas is not None:
        rows.append(["betas", ", ".join(typed(beta, 6) for beta in result.betas)])
    rows += [["weight decay", "0"], ["angle", f"{typed(result.angle_degrees)}° per step"]]
    head = f"{source}\n→ {result.optimizer}, weights of norm 1"
    values = {"source": {"setting": str(source)}, "target": target, "notes": notes}
    return values, _page(head, aligned(rows), notes)


def without_decay(options: Mapping[str, Any], out: Path | None) -> tuple[dict[str, Any], str]:
    """The schedule in place of the decay; written to `out` if that is given.

    Args:
        options: What was typed, by name.
        out: Where to write the whole schedule.
    """
    source, steps = _heavy_ball(options["source"]), options["steps"]
    if steps is None:
        raise UsageError("`--to no-decay` needs `--steps`, the length of the run.")
    shape, momentum = options["schedule"] or "constant", source.momentum or 0.0
    lr = lr_schedule(shape, lr=source.lr, steps=steps, warmup=options["warmup"] or 0)
    schedule = exponential_schedule(lr, source.wd, momentum)
    rows = exponential_rows(schedule, lr)
    values: dict[str, Any] = {
        "source": {"setting": str(source), "schedule": shape, "steps": steps},
        "target": {"optimizer": "sgd", "momentum": momentum, "wd": 0.0},
        **rows,
        "out": None if out is None else str(out),
    }
    if out is not None:
        arrays = {"log_lr": schedule.log_lr, "log_scale": schedule.log_scale}
        write_json(out, {name: array.tolist() for name, array in arrays.items()})
    table = [["step", "lr with decay", "log₁₀ lr without"]]
    table += [[typed(p["step"]), typed(p["lr"]), f"{p['log10_lr']:.4f}"] for p in rows["points"]]
    leaves_float32 = float(schedule.log_lr.max()) / math.log(10) > _FLOAT32
    notes = _schedule_notes(rows["growth"], out, leaves_float32=leaves_float32)
    head = f"{source}, {shape} schedule\n→ sgd momentum={momentum:g}, no decay"
    return values, _page(head, aligned(table, right=[0, 1, 2]), notes)


def _heavy_ball(text: str) -> Setting:
    """The setting, if a schedule can take the place of its decay."""
    source = Setting.parse(text)
    unlike = [name for name in ("nesterov", "dampening") if getattr(source, name)]
    if source.optimizer != "sgd" or source.decay not in (None, "l2") or unlike:
        raise UsageError(
            "`--to no-decay` is known for SGD with L2, with or without heavy-ball momentum; "
            f"got '{source}'."
        )
    update_norm(source, grad_norm_sq=1.0)  # refuses what SGD does not have
    return source


def _schedule_notes(growth: float | None, out: Path | None, *, leaves_float32: bool) -> list[str]:
    """Sentences on what the schedule does and needs."""
    notes = [
        "The two runs compute the same functions at every step, if all weights that decay are "
        "scale-invariant. Both start from the same weights.",
    ]
    if growth is not None:
        notes.append(f"At the end the learning rate grows by a factor of {growth:.9g} a step.")
    if leaves_float32:
        notes.append("It leaves float32 on the way: rescale the weights with `etaeff.rescale_`.")
    if out is not None:
        notes.append(f"The whole schedule is in {out}: natural logarithms, one for each step.")
    return notes


def _sizes(options: Mapping[str, Any], source: Setting) -> dict[str, Any]:
    """What was typed of the block; its shape only where an optimiser with one takes part."""
    names = (source.optimizer, options["target"])
    with_shape = [row for row in OPTIMIZERS.values() if row.length_needs == "shape"]
    shape = None
    if options["shape"] is not None and any(
        name in (row.name, row.sphere) for row in with_shape for name in names
    ):
        shape = pair("shape", options["shape"])
    return {"dim": options["dim"], "grad_norm_sq": options["grad_norm_sq"], "shape": shape}


def _page(head: str, table: str, notes: Sequence[str]) -> str:
    """Head, table and notes as one text."""
    return "\n\n".join([head, table, *bulleted(notes)])

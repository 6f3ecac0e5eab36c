"""`etaeff convert`: one setting of an optimiser told as another."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from etaeff._words import paragraph, typed
from etaeff.cli._tables import aligned, as_json
from etaeff.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from etaeff.convert import Match, Setting
    from etaeff.theory import Equilibrium

_NO_DECAY: Final = "no-decay"
_SPHERES: Final = {  # and the free optimiser whose update each one has
    "sphere-sgd": "sgd",
    "sphere-adam": "adamw",
    "sphere-lion": "lion",
    "sphere-muon": "muon",
}
_FREE: Final = ("sgd", "rmsprop", "adam", "adamw", "lion", "muon", "normalized")
_FLOAT32: Final = 38  # powers of ten that it holds
_SHOWN: Final = (0.0, 0.25, 0.5, 0.75, 1.0)  # of a run, as steps of a table


@click.command("convert", short_help="Tell one optimiser's setting as another's.")
@click.option(
    "--from",
    "source",
    required=True,
    metavar="SETTING",
    help="Such as 'sgd lr=0.1 wd=5e-4 momentum=0.9' or 'adamw lr=3e-4 wd=0.1 betas=0.9,0.95'.",
)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="NAME",
    help="An optimiser, sphere-sgd, sphere-adam, sphere-lion, sphere-muon, or no-decay.",
)
@click.option("--lr", type=float, help="Learning rate of the target optimiser; else it is chosen.")
@click.option("--dim", type=float, help="Entries C of the block.")
@click.option("--grad-norm-sq", type=float, help="Mean ‖g‖²‖w‖² of the gradient.")
@click.option("--shape", metavar="ROWS,COLUMNS", help="Of Muon's matrix.")
@click.option("--steps", type=int, help="Length of the run, for no-decay.")
@click.option("--schedule", metavar="NAME", help="constant, cosine, linear or step; for no-decay.")
@click.option("--warmup", type=int, help="Steps of linear warm-up, for no-decay.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write the whole schedule as JSON: log_lr."
)
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def command(*, out: Path | None, in_json: bool, **options: Any) -> int:
    """Convert a setting of one optimiser into that of another, for normalised weights.

    \b
    --to OPTIMISER   the same turn per step at equilibrium, and the same time to get there
    --to sphere-…    unit-norm weights without decay
    --to no-decay    a schedule of the learning rate in place of the decay, exactly
    """  # noqa: D301
    return run(options, out=out, in_json=in_json)


def run(options: Mapping[str, Any], *, out: Path | None, in_json: bool) -> int:
    """Convert, write the schedule if that is asked, and print.

    Args:
        options: What was typed, by name; `None` where it was not.
        out: Where to write a schedule.
        in_json: Print JSON.
    """
    target = options["target"]
    if target not in (*_FREE, *_SPHERES, _NO_DECAY):
        raise UnknownNameError("target", target, (*_FREE, *_SPHERES, _NO_DECAY))
    if target != _NO_DECAY:
        given = [name for name in ("steps", "schedule", "warmup") if options[name] is not None]
        if given or out is not None:
            raise UsageError(f"`--{(given or ['out'])[0]}` goes with `--to {_NO_DECAY}` only.")
    _refuse_idle(target, options)
    if target == _NO_DECAY:
        found, text = _without_decay(options, out)
    elif target in _SPHERES:
        found, text = _on_sphere(options)
    else:
        found, text = _matched(options)
    click.echo(as_json(found) if in_json else text)
    return 0


def _refuse_idle(target: str, options: Mapping[str, Any]) -> None:
    """Refuse options that would do nothing."""
    idle = ["lr", "dim", "grad_norm_sq", "shape"] if target == _NO_DECAY else []
    own = options["source"].split()[:1] == [_SPHERES.get(target)]
    if own or (target == "sphere-adam" and options["source"].startswith("adam ")):
        idle.append("lr")
    for name in idle:
        if options[name] is not None:
            raise UsageError(
                f"`--{name.replace('_', '-')}` has no part in converting '{options['source']}' to "
                f"{target}."
            )


def _matched(options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    found = _match(options, options["target"])
    values: dict[str, Any] = {
        "source": {"setting": options["source"], **_numbers(found.source)},
        "target": {"setting": str(found.setting), **_numbers(found.target)},
        "notes": found.notes,
    }
    rows = [["", "from", "to"]]
    for name, title in zip(
        ("angle_degrees", "half_life", "radius", "effective_lr"),
        ("angle, ° per step", "half-life, steps", "radius", "effective lr"),
        strict=True,
    ):
        rows.append([title, typed(values["source"][name]), typed(values["target"][name])])
    head = f"{values['source']['setting']}\n→ {values['target']['setting']}"
    return values, _page(head, aligned(rows, right=[1, 2]), found.notes)


def _on_sphere(options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    from etaeff.convert import Setting, to_sphere

    source = Setting.parse(options["source"])
    base = _SPHERES[options["target"]]
    notes: tuple[str, ...] = ()
    setting = source
    if {source.optimizer, base} not in ({base}, {"adam", "adamw"}):
        matched = _match(options, base)
        setting, notes = matched.setting, matched.notes
    found = to_sphere(
        setting.optimizer,
        dim=options["dim"],
        grad_norm_sq=options["grad_norm_sq"],
        **_shape(options, setting.optimizer),
        **setting.arguments(),
    )
    notes = (*notes, *found.notes)
    values: dict[str, Any] = {
        "source": {"setting": str(source)},
        "target": {
            "optimizer": options["target"],
            "lr": found.lr,
            "momentum": found.momentum,
            "betas": setting.betas,
            "wd": 0.0,
            "angle": found.angle,
            "angle_degrees": _degrees(found.angle),
        },
        "notes": notes,
    }
    own = values["target"]
    rows = [["lr", typed(own["lr"], 6)]]
    if own["momentum"] is not None:
        rows.append(["momentum", typed(own["momentum"], 6)])
    if setting.betas is not None:
        rows.append(["betas", ", ".join(typed(beta, 6) for beta in setting.betas)])
    rows += [["weight decay", "0"], ["angle", f"{typed(own['angle_degrees'])}° per step"]]
    head = f"{source}\n→ {options['target']}, weights of norm 1"
    return values, _page(head, aligned(rows), notes)


def _without_decay(options: Mapping[str, Any], out: Path | None) -> tuple[dict[str, Any], str]:
    from etaeff.convert import Setting, exponential_schedule
    from etaeff.theory import lr_schedule, update_norm

    source = Setting.parse(options["source"])
    unlike = [name for name in ("nesterov", "dampening") if getattr(source, name)]
    if source.optimizer != "sgd" or source.decay not in (None, "l2") or unlike:
        raise UsageError(
            f"`--to {_NO_DECAY}` is known for SGD with L2, with or without heavy-ball momentum; "
            f"got '{source}'."
        )
    update_norm("sgd", grad_norm_sq=1.0, **_own_arguments(source))
    steps, shape = options["steps"], options["schedule"] or "constant"
    if steps is None:
        raise UsageError(f"`--to {_NO_DECAY}` needs `--steps`, the length of the run.")
    lr = lr_schedule(shape, lr=source.lr, steps=steps, warmup=options["warmup"] or 0)
    found = exponential_schedule(lr, source.wd, source.momentum or 0.0)
    places = sorted({int(share * (steps - 1)) for share in _SHOWN})
    log10 = found.log_lr / math.log(10)
    constant = shape == "constant" and not options["warmup"] and steps > 1
    growth = math.exp(found.log_lr[-1] - found.log_lr[-2]) if constant else None
    values: dict[str, Any] = {
        "source": {"setting": str(source), "schedule": shape, "steps": steps},
        "target": {"optimizer": "sgd", "momentum": source.momentum or 0.0, "wd": 0.0},
        "growth": growth,
        "points": [{"step": step, "lr": lr[step], "log10_lr": log10[step]} for step in places],
        "out": None if out is None else str(out),
    }
    if out is not None:
        from etaeff.records import write_atomically

        whole = {"log_lr": found.log_lr.tolist(), "log_scale": found.log_scale.tolist()}
        try:
            write_atomically(out, as_json(whole))
        except OSError as error:
            raise UsageError(f"`--out {out}` cannot be written: {error.strerror}.") from None
    rows = [["step", "lr with decay", "log₁₀ lr without"]]
    rows += [[typed(p["step"]), typed(p["lr"]), f"{p['log10_lr']:.4f}"] for p in values["points"]]
    notes = [
        "The two runs compute the same functions at every step, if all weights that decay are "
        "scale-invariant. Both start from the same weights.",
    ]
    if growth is not None:
        notes.append(f"At the end the learning rate grows by a factor of {growth:.9g} a step.")
    if log10.max() > _FLOAT32:
        notes.append("It leaves float32 on the way: rescale the weights with `etaeff.rescale_`.")
    if out is not None:
        notes.append(f"The whole schedule is in {out}: natural logarithms, one for each step.")
    head = f"{source}, {shape} schedule\n→ sgd momentum={source.momentum or 0.0:g}, no decay"
    return values, _page(head, aligned(rows, right=[0, 1, 2]), notes)


def _own_arguments(source: "Setting") -> dict[str, Any]:
    given = source.arguments()
    return {name: given[name] for name in given if name not in ("lr", "wd", "decay")}


def _match(options: Mapping[str, Any], target: str) -> "Match":
    from etaeff.convert import Setting, match

    source = Setting.parse(options["source"])
    shape = _shape(options, "muon") if "muon" in (source.optimizer, target) else {}
    return match(
        source,
        target,
        lr=options["lr"],
        dim=options["dim"],
        grad_norm_sq=options["grad_norm_sq"],
        **shape,
    )


def _shape(options: Mapping[str, Any], optimizer: str) -> dict[str, Any]:
    if options["shape"] is None or optimizer != "muon":
        return {}
    try:
        rows, columns = (int(part) for part in options["shape"].split(","))
    except ValueError:
        raise UsageError(
            "`--shape` must be two whole numbers with a comma between them, such as 768,3072; "
            f"got {options['shape']!r}."
        ) from None
    return {"shape": (rows, columns)}


def _numbers(found: "Equilibrium") -> dict[str, Any]:
    names = ("angle", "half_life", "radius", "effective_lr")
    own = {name: getattr(found, name) for name in names}
    return own | {"angle_degrees": _degrees(found.angle)}


def _degrees(angle: Any) -> float | None:
    return None if angle is None else math.degrees(angle)


def _page(head: str, table: str, notes: Sequence[str]) -> str:
    parts = [head, table]
    if notes:
        parts.append("\n".join(paragraph(note, bullet="- ") for note in notes))
    return "\n\n".join(parts)

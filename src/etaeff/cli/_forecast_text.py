"""A forecast as people read it: its lines, the table of its run, the list of published settings."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from etaeff._words import paragraph, typed
from etaeff.cli._tables import aligned, bulleted

if TYPE_CHECKING:
    from etaeff.theory import Forecast

_REGIMES: Final = {
    "slow": "less than 8° a step",
    "fast": "8° to 60° a step",
    "erratic": "more than 60° a step",
}
_TIMES: Final = (
    ("half_life", "half-life", "in which a deviation of ‖w‖² halves"),
    ("settled", "settles in", "until a twentieth of it is left"),
    ("memory", "memory", "1/(ηλ), with no account of momentum"),
)
_POINT: Final = ("step", "lr", "radius", "angle_degrees", "effective_lr", "angle_over_equilibrium")
_PUBLISHED: Final = ("lr", "wd", "angle_degrees", "half_life", "steps", "times_settled")


def title_of(forecast: "Forecast") -> str:
    """The setting in a line."""
    from etaeff.theory.settings import title

    setting = forecast.setting
    values = {**setting.arguments(), **forecast.block}
    parts = [f"{k.replace('_', '-')} {_short(v)}" for k, v in values.items() if k != "decay"]
    decay = "L2 in the gradient" if forecast.decay == "l2" else "decoupled decay"
    return f"{title(setting.optimizer)}, {decay}: {', '.join(parts)}"


def text_of(forecast: "Forecast") -> str:
    """All of it, in paragraphs and tables, but for the warnings."""
    values, origin = forecast.to_dict(), forecast.published
    head = title_of(forecast)
    if origin is not None:
        head = f"{origin.model} on {origin.data}\n{head}\nSource: {origin.source}"
    parts = [head, aligned(_rows(values)), paragraph(forecast.meaning)]
    run = values["run"]
    if run is not None and run["points"] is not None:
        parts += _run_parts(run)
    return "\n\n".join([*parts, *bulleted(forecast.notes)])


def list_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of published settings, `theory.published_rows()`, and what its columns mean."""
    from etaeff.theory.settings import title

    head = ["name", "optimiser", "lr", "wd", "°/step", "half-life", "steps", "× settling"]
    lines = [
        [row["name"], title(row["optimizer"]), *(typed(row[key], 3) for key in _PUBLISHED)]
        for row in rows
    ]
    meaning = paragraph(
        "Turn per step and half-life of ‖w‖² at equilibrium, for a normalised weight at the "
        "peak lr. The last column is the length of the run over the 4.32 half-lives in which "
        "a weight settles: below 1 the run ends before equilibrium."
    )
    return f"{aligned([head, *lines], right=range(2, 8))}\n\n{meaning}"


def _short(value: Any) -> str:
    """A value of a setting as a title has it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(_short, value))
    return value if isinstance(value, str) else f"{value:g}"


def _rows(values: Mapping[str, Any]) -> list[list[str]]:
    """Name, number and unit of each quantity."""
    turn, regime, product = [typed(None)], values["regime"], values["invariant"]
    if values["angle"] is not None:
        turn = [f"{typed(values['angle_degrees'])}°", f"{typed(values['angle'])} rad per step"]
    meaning = typed(None) if regime is None else f"{regime}: {_REGIMES[regime]}"
    return [
        ["angle", *turn],
        *(_time_row(values, *time) for time in _TIMES),
        ["radius", typed(values["radius"])],
        ["effective lr", typed(values["effective_lr"])],
        ["invariant", f"{product['name']} = {typed(product['value'])}"],
        ["regime", meaning],
    ]


def _time_row(values: Mapping[str, Any], key: str, name: str, what: str) -> list[str]:
    """A time in steps, in epochs if their length is known, and what it is the time of."""
    steps, epochs = values[key], values[f"{key}_epochs"]
    shown = typed(None) if steps is None else f"{typed(steps)} steps"
    return [name, shown, *([] if epochs is None else [f"{typed(epochs)} epochs"]), what]


def _run_parts(run: Mapping[str, Any]) -> list[str]:
    """What the run is, the table of its points, and its summary."""
    shares = run["relative"]
    head = ["", "step", "lr", "r / r*" if shares else "radius", "°/step",
            "η_eff / η_eff*" if shares else "η_eff", "° / °*"]  # fmt: skip
    rows = [[point["at"], *(typed(point[key]) for key in _POINT)] for point in run["points"]]
    start = "the equilibrium of the peak lr" if run["start"] == "equilibrium" else "--radius"
    first = f"{run['steps']:,} steps, {run['schedule']} schedule, from {start}."
    if shares:
        first += " r* and η_eff* are those of this equilibrium."
    first += " °* is the equilibrium's at the lr of the step. Momentum buffers start empty."
    return [paragraph(first), aligned([head, *rows], right=range(1, 7)), paragraph(run["summary"])]

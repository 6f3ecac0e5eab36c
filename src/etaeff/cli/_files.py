"""Files that commands write beside what they print."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etaeff.cli._tables import as_json
from etaeff.errors import UsageError

if TYPE_CHECKING:
    from etaeff.theory import Forecast


def check_page(html: Path | None) -> None:
    """Refuse, before there is anything to write, a page that could not be written.

    Args:
        html: That of `--html`; `None` if there is to be no page.
    """
    if html is None:
        return
    from etaeff.report import check_extras

    check_extras(["jinja2"])
    if not html.parent.is_dir() or html.is_dir():
        raise UsageError(f"`--html {html}` must be a file in a folder that exists.")


def write_page(html: Path | None, values: Mapping[str, Any]) -> None:
    """Write an audit as one HTML file, if there is to be one.

    Args:
        html: That of `--html`; `None` if there is to be no page.
        values: `Audit.to_dict()`.
    """
    if html is None:
        return
    from etaeff.report import write_audit

    try:
        write_audit(html, values)
    except OSError as error:
        raise UsageError(f"`--html {html}` cannot be written: {error.strerror}.") from None


def write_json(out: Path, values: Mapping[str, Any]) -> None:
    """Write one JSON object, whole or not at all.

    Args:
        out: That of `--out`.
        values: What the object holds.
    """
    from etaeff.records import write_atomically

    try:
        write_atomically(out, as_json(values))
    except OSError as error:
        raise UsageError(f"`--out {out}` cannot be written: {error.strerror}.") from None


def draw_run(plot: Path, forecast: "Forecast") -> None:
    """Draw the run of a forecast.

    Args:
        plot: That of `--plot`.
        forecast: Its run must have been followed.
    """
    run = forecast.run
    if run is None or run.path is None or run.block is None:
        raise UsageError(f"`--plot` has no run to draw. {forecast.notes[-1]}")
    from etaeff.cli._forecast_text import title_of
    from etaeff.report import write_trajectory

    setting = forecast.setting
    write_trajectory(
        plot,
        setting.optimizer,
        run.path,
        relative=bool(run.relative),
        title=title_of(forecast),
        **{**setting.arguments(), **run.block, "lr": run.lr},
    )

"""From a study's folder to its report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etaeff.errors import StudyError, import_extra
from etaeff.records import write_atomically

if TYPE_CHECKING:
    from etaeff.report._figures import Drawing

NEEDS: Final = ("polars", "matplotlib", "jinja2")
REPORT: Final = "report.html"
FIGURES: Final = "figures"


def check_extras(packages: Sequence[str] = NEEDS) -> None:
    """Raise `MissingExtraError` now, not after hours of training, if no report can be made.

    Args:
        packages: What is needed; by default, what the report of a study needs.
    """
    for package in packages:
        import_extra(package, "report")


def write_report(folder: Path) -> Path:
    """Write `report.html` and `figures/*.svg` and `*.png` beside the results of a study.

    The report is one file that holds its figures, opens without a network and loads nothing.
    Nothing is written before all of it is made, and each file is whole or absent. The same
    results give the same figures, byte for byte.

    Args:
        folder: Of a finished study. It holds `results.parquet`, `epochs.parquet` and
            `claims.json`, and may hold `rescalings.parquet`.

    Returns:
        The path of `report.html`.

    Raises:
        MissingExtraError: If a package of the extra `report` is not installed.
        StudyError: If the folder or one of its files is missing.
        DataError: If a file is truncated or not what a study writes.

    Examples:
        >>> write_report(Path("no such folder"))
        Traceback (most recent call last):
        etaeff.errors.StudyError: There is no finished study in 'no such folder': \
'results.parquet' is missing.
    """
    check_extras()
    # Not at the top: `import etaeff.report` must be fast and work without the extra.
    from etaeff.report._figures import draw
    from etaeff.report._frames import read_frames
    from etaeff.report._page import page

    folder = Path(folder)
    frames = read_frames(folder)
    drawings = draw(frames)
    text = page(frames, drawings)
    _write_figures(folder / FIGURES, drawings)
    write_atomically(folder / REPORT, text)
    return folder / REPORT


def _write_figures(folder: Path, drawings: Sequence["Drawing"]) -> None:
    """Write each drawing as SVG and PNG, and take away those of earlier results."""
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise StudyError(f"'{folder}' must be a folder for the figures, and is a file.") from error
    for drawing in drawings:
        for suffix, content in (("svg", drawing.svg), ("png", drawing.png)):
            path = folder / f"{drawing.plot.name}.{suffix}"
            if content is None:
                # A picture of earlier results would pass for one of these.
                path.unlink(missing_ok=True)
            else:
                write_atomically(path, content)

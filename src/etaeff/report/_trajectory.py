"""From a predicted run to a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from etaeff.errors import UsageError, import_extra
from etaeff.records import write_atomically

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from etaeff.theory import Trajectory

_NEEDS: Final = ("polars", "matplotlib")
_SUFFIXES: Final = (".png", ".svg", ".pdf")


def write_trajectory(
    path: Path,
    optimizer: str,
    run: "Trajectory",
    *,
    lr: "ArrayLike",
    wd: "ArrayLike",
    relative: bool = False,
    title: str = "",
    **arguments: Any,
) -> Path:
    """Draw radius, turn and effective learning rate of a predicted run, beside their equilibrium.

    A dashed line shows where each quantity would settle if the learning rate of the step stayed.
    The same run gives the same bytes. The file is whole or absent.

    Args:
        path: Of the file: `.png`, `.svg` or `.pdf`. Its folder must exist.
        optimizer: As in `theory.trajectory`.
        run: What `theory.trajectory` returned for one block.
        lr: Learning rate η of each step, or of all.
        wd: Weight decay λ of each step, or of all.
        relative: Show radius and effective learning rate as shares of their equilibrium at the
            highest learning rate: for a run whose scale is not known.
        title: A line above the figure.
        **arguments: The others that `theory.trajectory` got, such as `momentum` and `dim`.

    Returns:
        `path`.

    Raises:
        MissingExtraError: If a package of the extra `report` is not installed.
        UsageError: If the suffix is not known, the run has several blocks, or the file cannot be
            written.

    Examples:
        >>> from etaeff.theory import trajectory
        >>> run = trajectory("normalized", lr=0.1, wd=0.1, radius=1.0, steps=5)
        >>> write_trajectory(Path("run.jpg"), "normalized", run, lr=0.1, wd=0.1)
        Traceback (most recent call last):
        etaeff.errors.UsageError: A figure's name must end in .png, .svg or .pdf, got 'run.jpg'.
    """
    path = Path(path)
    if path.suffix.lower() not in _SUFFIXES:
        *most, last = _SUFFIXES
        raise UsageError(
            f"A figure's name must end in {', '.join(most)} or {last}, got '{path.name}'."
        )
    for package in _NEEDS:
        import_extra(package, "report")
    # Not at the top: `import etaeff.report` must be fast and work without the extra.
    from etaeff.report._figures._trajectory import to_pdf, trajectory_figure, trajectory_rows
    from etaeff.report._style import lay_out, to_png, to_svg

    rows = trajectory_rows(optimizer, run, lr=lr, wd=wd, relative=relative, **arguments)
    figure = trajectory_figure(rows, relative=relative, title=title)
    lay_out(figure)
    write = {".png": to_png, ".svg": to_svg, ".pdf": to_pdf}[path.suffix.lower()]
    try:
        write_atomically(path, write(figure))
    except OSError as error:
        raise UsageError(
            f"The figure cannot be written to '{path}': {error.strerror or error}."
        ) from error
    return path

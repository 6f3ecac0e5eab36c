import math

import matplotlib.image
import numpy as np
import pytest

from etaeff.errors import UsageError
from etaeff.report import write_trajectory
from etaeff.report._figures._trajectory import POINTS, trajectory_figure, trajectory_rows
from etaeff.report._style import lay_out
from etaeff.theory import lr_schedule, trajectory

SGD = {"momentum": 0.9, "grad_norm_sq": 2.0}
QUANTITIES = ("radius", "angle", "effective_lr")


def run_of(schedule, *, steps=2000, radius=1.0, optimizer="sgd", peak=0.1, wd=5e-4, **arguments):
    """A run, and what else the rows need."""
    lr = lr_schedule(schedule, lr=peak, steps=steps)
    path = trajectory(optimizer, lr=lr, wd=wd, radius=radius, **arguments)
    return (optimizer, path), {"lr": lr, "wd": wd, **arguments}


@pytest.fixture(scope="module")
def cosine():
    return run_of("cosine", **SGD)


def test_rows_are_the_steps_and_their_equilibrium(cosine):
    (_, path), more = cosine
    rows = trajectory_rows("sgd", path, **more)
    lr = more["lr"]
    assert rows["step"].to_list() == list(range(2000))
    assert np.array_equal(rows["lr"], lr)
    assert np.array_equal(rows["radius"], path.radius[:-1])
    assert np.allclose(rows["angle"], path.angle * 180 / math.pi)
    assert np.array_equal(rows["effective_lr"], path.effective_lr)
    x = lr * 5e-4
    level = (lr * 2.0 / (5e-4 * 0.1 * (2 - x / 1.9))) ** 0.25
    assert np.allclose(rows["radius_equilibrium"], level)
    assert np.allclose(rows["angle_equilibrium"], np.degrees(np.sqrt(2 * x / 1.9)), rtol=1e-3)
    assert np.allclose(rows["effective_lr_equilibrium"], lr / level**2)


def test_shares_are_those_of_the_equilibrium_at_the_highest_lr(cosine):
    (_, path), more = cosine
    rows, shares = (
        trajectory_rows("sgd", path, **more, relative=relative) for relative in (False, True)
    )
    for name in ("radius", "effective_lr"):
        for column in (name, f"{name}_equilibrium"):
            unit = rows[f"{name}_equilibrium"][0]  # a cosine is highest at the start
            assert np.allclose(shares[column], rows[column] / unit)
    assert shares["radius_equilibrium"][0] == pytest.approx(1)
    for column in ("angle", "angle_equilibrium", "lr"):
        assert shares[column].equals(rows[column])


def test_a_long_run_is_thinned_out_and_keeps_its_ends():
    optimizer, path = (args := run_of("constant", steps=200_000, radius=3.0, **SGD))[0]
    steps = trajectory_rows(optimizer, path, **args[1])["step"].to_numpy()
    assert len(steps) <= POINTS
    assert steps[:30].tolist() == list(range(30))
    assert steps[-1] == 199_999
    assert np.all(np.diff(steps) > 0)
    assert np.diff(steps).max() <= 100  # 81 if all were evenly spread


def test_steps_without_decay_have_no_equilibrium():
    wd = np.where(np.arange(100) < 50, 0.0, 5e-4)
    path = trajectory("sgd", lr=0.1, wd=wd, radius=1.0, **SGD)
    rows = trajectory_rows("sgd", path, lr=0.1, wd=wd, **SGD)
    for name in QUANTITIES:
        assert rows[f"{name}_equilibrium"].null_count() == 50
        assert rows[f"{name}_equilibrium"][50] > 0
        assert rows[name].null_count() == 0
    rows = trajectory_rows("sgd", path, lr=0.1, wd=0.0, **SGD)
    figure = trajectory_figure(rows)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["predicted"]


def test_several_blocks_are_refused():
    path = trajectory("sgd", lr=0.1, wd=5e-4, radius=[1.0, 2.0], steps=5, **SGD)
    with pytest.raises(UsageError, match="must be that of one block, got 2 of them"):
        trajectory_rows("sgd", path, lr=0.1, wd=5e-4, **SGD)


def test_figure_has_a_panel_for_each_quantity(cosine):
    (_, path), more = cosine
    rows = trajectory_rows("sgd", path, **more)
    figure = trajectory_figure(rows, title="A title")
    assert [axes.get_ylabel() for axes in figure.axes] == [
        r"learning rate $\eta$",
        r"radius $\|w\|$",
        "turn, degrees per step",
        r"effective learning rate $\eta_{\mathrm{eff}}$",
    ]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "step", "step"]
    assert len(figure.axes[0].lines) == 1
    for axes, name in zip(figure.axes[1:], QUANTITIES, strict=True):
        predicted, level = axes.lines
        assert np.array_equal(predicted.get_ydata(), rows[name])
        assert np.array_equal(level.get_ydata(), rows[f"{name}_equilibrium"])
        assert (predicted.is_dashed(), level.is_dashed()) == (False, True)
    legend = figure.legends[0]
    assert legend.get_title().get_text() == "A title"
    assert [text.get_text() for text in legend.get_texts()] == [
        "predicted",
        r"equilibrium at the step's $\eta$",
    ]


def test_a_constant_lr_needs_no_panel():
    args, more = run_of("constant", **SGD)
    figure = trajectory_figure(trajectory_rows(*args, **more, relative=True), relative=True)
    assert [axes.get_ylabel() for axes in figure.axes] == [
        r"radius / $r^\star$ at peak $\eta$",
        "turn, degrees per step",
        r"$\eta_{\mathrm{eff}}$ / $\eta_{\mathrm{eff}}^\star$ at peak $\eta$",
    ]
    assert [axes.get_xlabel() for axes in figure.axes] == ["step"] * 3


def test_drops_are_on_a_logarithmic_axis_and_a_fall_to_zero_is_not(cosine):
    (_, path), more = cosine
    fall = trajectory_figure(trajectory_rows("sgd", path, **more))
    args, more = run_of("step", radius=6.687, **SGD)
    drops = trajectory_figure(trajectory_rows(*args, **more))
    assert [axes.get_yscale() for axes in fall.axes[:1] + fall.axes[2:]] == ["linear"] * 3
    assert [axes.get_yscale() for axes in drops.axes] == ["log", "linear", "log", "log"]
    assert all(axes.get_ylim()[0] == 0 for axes in fall.axes if axes.get_yscale() == "linear")
    for axes in drops.axes:
        low, high = axes.get_ylim()
        for line in axes.lines:
            assert low < line.get_ydata().min() < line.get_ydata().max() < high


def test_adams_first_steps_do_not_set_the_scale():
    args, more = run_of("constant", steps=50_000, radius=1.96, optimizer="adamw", peak=1e-3,
                        wd=0.1, dim=768)  # fmt: skip
    rows = trajectory_rows(*args, **more)
    assert rows["angle"][0] > 4 * rows["angle_equilibrium"][0]
    turn = trajectory_figure(rows).axes[1]
    assert turn.get_ylim()[1] < 1.5 * rows["angle_equilibrium"][0]


@pytest.mark.parametrize(
    ("schedule", "steps"), [("cosine", 2000), ("step", 400_000), ("constant", 1), ("linear", 2)]
)
def test_nothing_lies_outside(schedule, steps):
    args, more = run_of(schedule, steps=steps, **SGD)
    figure = trajectory_figure(trajectory_rows(*args, **more), title="many words " * 15)
    lay_out(figure)
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert min(box.x0, box.y0) > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02


def test_a_png_holds_the_plot_and_the_same_run_gives_the_same_bytes(cosine, tmp_path):
    args, more = cosine
    path = tmp_path / "run.png"
    assert write_trajectory(path, *args, **more, title="A title") == path
    first = path.read_bytes()
    pixels = matplotlib.image.imread(path)
    assert pixels.shape[:2] == (750, 1080)
    blue = np.abs(pixels[..., :3] - np.array([0, 0x72, 0xB2]) / 255).max(-1) < 0.02
    assert blue.sum() > 2000
    write_trajectory(path, *args, **more, title="A title")
    assert path.read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["run.png"]


@pytest.mark.parametrize(("suffix", "magic"), [(".svg", b"<?xml"), (".PDF", b"%PDF-")])
def test_other_formats_are_chosen_by_the_suffix(cosine, tmp_path, suffix, magic):
    args, more = cosine
    path = tmp_path / f"run{suffix}"
    contents = [write_trajectory(path, *args, **more).read_bytes() for _ in range(2)]
    assert contents[0].startswith(magic)
    assert contents[0] == contents[1]


def test_what_cannot_be_written_is_a_sentence(cosine, tmp_path):
    args, more = cosine
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match=r"must end in \.png, \.svg or \.pdf, got 'run'\.$"):
        write_trajectory(tmp_path / "run", *args, **more)
    for path in (tmp_path / "no" / "run.png", tmp_path / "folder.png"):
        with pytest.raises(UsageError, match=r"^The figure cannot be written to '.+': .+\.$"):
            write_trajectory(path, *args, **more)
    assert [file.name for file in tmp_path.iterdir()] == ["folder.png"]

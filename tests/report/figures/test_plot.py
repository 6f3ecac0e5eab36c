import pytest

from etaeff.report._figures import PLOTS
from etaeff.report._figures._plot import draw_plots
from etaeff.report._style import lay_out, to_svg


def test_names_are_files_and_different():
    names = [plot.name for plot in PLOTS]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalpha() and name.islower() for name in names)


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.name)
def test_every_figure_says_what_to_look_for(plot):
    assert plot.title[0].isupper()
    for text in (plot.look, plot.alt):
        assert text.endswith(".")
    assert plot.claims


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.name)
def test_every_figure_is_left_out_without_rows(plot, make):
    (drawing,) = draw_plots([plot], make.frames([]))
    assert (drawing.svg, drawing.png, drawing.seen) == (None, None, "")


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.name)
def test_nothing_lies_outside_and_the_bytes_are_the_same_again(plot, whole_study, reported):
    figure = plot.figure(plot.rows(whole_study))
    lay_out(figure)
    svg = to_svg(figure)
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 > -0.02
    assert box.y0 > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02
    assert svg == (reported / "figures" / f"{plot.name}.svg").read_bytes()

import io
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from etaeff.report._style import (
    CATEGORIES,
    FAINT,
    INK,
    WIDTH,
    house_style,
    lay_out,
    ordered_colours,
    to_png,
    to_svg,
    wd_colours,
)


def contrast(colour):
    """Contrast with white, by WCAG 2.1."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return 1.05 / (float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)


@pytest.mark.parametrize("colour", [*CATEGORIES, FAINT, INK, *ordered_colours(8)])
def test_colours_stand_out_from_white(colour):
    assert contrast(colour) >= 3 - 0.2


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_ordered_colours_become_lighter(count):
    contrasts = [contrast(colour) for colour in ordered_colours(count)]
    assert contrasts == sorted(contrasts, reverse=True)
    assert len(set(ordered_colours(count))) == count


def test_zero_has_a_colour_of_its_own():
    assert list(wd_colours([0.1, 0.0, 0.01])) == [0.0, 0.01, 0.1]
    assert wd_colours([0.1, 0.0])[0.0] == FAINT
    assert wd_colours([]) == {}
    assert ordered_colours(1)


@house_style()
def drawn():
    figure = Figure(figsize=(WIDTH, 2), layout="constrained")
    axes = figure.subplots()
    axes.plot([1, 2], [3, 4], "o-", label="η")
    axes.set_title(r"$\eta_{\mathrm{eff}}$")
    axes.legend()
    return figure


def test_the_same_figure_gives_the_same_bytes():
    assert to_svg(drawn()) == to_svg(drawn())
    assert to_png(drawn()) == to_png(drawn())


def test_layout_is_found_once():
    figure = drawn()
    lay_out(figure)
    place = figure.axes[0].get_position().bounds
    assert place != drawn().axes[0].get_position().bounds
    lay_out(figure)
    to_png(figure)
    assert figure.axes[0].get_position().bounds == place


def test_svg_has_no_date_and_needs_no_font():
    svg = to_svg(drawn()).decode()
    assert "<text" not in svg
    assert "dc:date" not in svg
    assert not re.search(r'href="(?!#)', svg)


def test_png_has_150_dots_to_the_inch():
    assert Image.open(io.BytesIO(to_png(drawn()))).size == (WIDTH * 150, 300)


def test_readers_own_settings_change_nothing_and_stay():
    usual = to_svg(drawn())
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "none"}):
        assert to_svg(drawn()) == usual
        assert matplotlib.rcParams["font.size"] == 30

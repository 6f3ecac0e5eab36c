import math
from xml.etree import ElementTree

import pytest

from etaeff.records import Finding
from etaeff.report._interval import WIDTH, Scale, picture


def found(estimate=0.5, low=0.4, high=0.6, expected_low=0.0, expected_high=1.0):
    return Finding(
        claim=1, part="", statistic="", unit="", seeds=3, trials=3, estimate=estimate, low=low,
        high=high, expected_low=expected_low, expected_high=expected_high,
    )  # fmt: skip


def shapes(finding, scale=None):
    tree = ElementTree.fromstring(picture(finding, scale or Scale.of([finding])))
    return {element.get("class"): element for element in tree}


def test_scale_holds_everything_of_an_ordinary_group():
    scale = Scale.of([found(), found(estimate=2.0, low=1.5, high=2.5)])
    assert (scale.low, scale.high) == (0.0, 2.5)


def test_one_wide_interval_does_not_hide_the_others():
    scale = Scale.of([found(), found(low=-50.0, high=90.0)])
    assert (scale.low, scale.high) == (-1.0, 2.0)


@pytest.mark.parametrize(
    "finding",
    [
        found(0.0, 0.0, 0.0, 0.0, 0.0),
        found(3.0, 3.0, 3.0, -math.inf, math.inf),
        found(math.nan, math.nan, math.nan, -math.inf, math.inf),
        found(math.nan, math.nan, math.nan, 0.0, math.inf),
    ],
)
def test_scale_is_never_empty(finding):
    scale = Scale.of([finding])
    assert scale.low < scale.high
    assert "nan" not in picture(finding, scale)
    assert "inf" not in picture(finding, scale)


def test_places_are_in_proportion():
    parts = shapes(found(), Scale(0.0, 1.0))
    left, right = float(parts["range"].get("x")), float(parts["range"].get("width"))
    assert float(parts["dot"].get("cx")) == pytest.approx(left + right / 2, abs=0.1)
    assert float(parts["bar"].get("x1")) == pytest.approx(left + 0.4 * right, abs=0.1)
    assert float(parts["bar"].get("x2")) == pytest.approx(left + 0.6 * right, abs=0.1)
    assert "arrow" not in parts


def test_infinite_range_goes_to_the_edge():
    band = shapes(found(expected_low=0.5, expected_high=math.inf))["range"]
    assert float(band.get("x")) + float(band.get("width")) == pytest.approx(WIDTH, abs=0.1)
    band = shapes(found(expected_low=-math.inf, expected_high=0.5))["range"]
    assert float(band.get("x")) == 0


def test_bar_that_goes_on_has_an_arrow():
    scale = Scale(0.0, 1.0)
    assert "arrow" in shapes(found(high=5.0), scale)
    assert "arrow" in shapes(found(low=-5.0), scale)
    outside = shapes(found(estimate=9.0, low=8.0, high=10.0), scale)
    assert 0 <= float(outside["bar"].get("x1")) <= float(outside["bar"].get("x2")) <= WIDTH


def test_what_is_not_known_is_not_drawn():
    assert set(shapes(found(math.nan, math.nan, math.nan))) == {"axis", "range"}
    assert set(shapes(found(expected_low=-math.inf, expected_high=math.inf))) == {
        "axis", "bar", "dot",
    }  # fmt: skip


def test_picture_is_hidden_from_screen_readers():
    assert 'aria-hidden="true"' in picture(found(), Scale(0.0, 1.0))

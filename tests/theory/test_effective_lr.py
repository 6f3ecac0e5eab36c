import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import effective_lr, radius_power

POWERS = {
    "sgd": 2,
    "rmsprop": 1,
    "adam": 1,
    "adamw": 1,
    "lion": 1,
    "muon": 1,
    "normalized": 1,
}
BAD_POSITIVE = [0.0, -1.0, math.inf, math.nan, [1.0, 0.0]]
POSITIVE = st.floats(1e-6, 1e6)


@pytest.mark.parametrize(("optimizer", "power"), POWERS.items())
def test_effective_lr_divides_by_the_power_of_the_radius(optimizer, power):
    assert radius_power(optimizer) == power
    assert effective_lr(optimizer, lr=0.3, radius=5.0) == pytest.approx(0.3 / 5.0**power, rel=1e-15)


@given(st.sampled_from(list(POWERS)), POSITIVE, POSITIVE, st.floats(1e-2, 1e2))
def test_effective_lr_falls_with_the_power_of_the_scale(optimizer, lr, radius, scale):
    ratio = effective_lr(optimizer, lr=lr, radius=scale * radius) / effective_lr(
        optimizer, lr=lr, radius=radius
    )
    assert ratio == pytest.approx(scale ** -POWERS[optimizer], rel=1e-12)


def test_effective_lr_broadcasts():
    found = effective_lr("sgd", lr=[[0.1], [0.2]], radius=[1.0, 2.0, 4.0])
    assert found.shape == (2, 3)
    assert found.tolist() == [
        pytest.approx([0.1, 0.025, 0.00625]),
        pytest.approx([0.2, 0.05, 0.0125]),
    ]


def test_an_unknown_optimizer_lists_the_known_ones():
    sentence = (
        r"^Unknown optimizer 'sdg'\. Known: sgd, rmsprop, adam, adamw, lion, muon, normalized, "
        r"nadam\. Did you mean 'sgd'\?$"
    )
    with pytest.raises(UnknownNameError, match=sentence):
        effective_lr("sdg", lr=0.1, radius=1.0)
    with pytest.raises(UnknownNameError, match=sentence):
        radius_power("sdg")


@pytest.mark.parametrize("value", BAD_POSITIVE)
@pytest.mark.parametrize("name", ["lr", "radius"])
def test_effective_lr_refuses_what_is_not_positive_and_finite(name, value):
    arguments = {"lr": 0.1, "radius": 1.0} | {name: value}
    with pytest.raises(UsageError) as refused:
        effective_lr("sgd", **arguments)
    assert str(refused.value) == f"`{name}` must be positive and finite, got {value!r}."

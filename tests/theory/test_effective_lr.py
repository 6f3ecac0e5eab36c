import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import effective_lr, radius_power, sgd_radius

POWERS = {"sgd": 2, "rmsprop": 1, "adam": 1, "adamw": 1}
BAD_POSITIVE = [0.0, -1.0, math.inf, math.nan, [1.0, 0.0]]
POSITIVE = st.floats(1e-6, 1e6)


def simulated_radius_4(lr, wd, grad_norm_sq, *, fixed_norm, dim, chains, steps=400, keep=50):
    """Mean r⁴ of every chain of projected noise, w ← (1 − ηλ)w − ηḡ/r with ḡ ⟂ w, at its end."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal((chains, dim)) * 2 / math.sqrt(dim)
    kept = []
    for _ in range(steps):
        r = np.linalg.norm(w, axis=1, keepdims=True)
        noise = rng.standard_normal((chains, dim))
        noise -= (noise * w).sum(axis=1, keepdims=True) * w / r**2
        size = np.linalg.norm(noise, axis=1, keepdims=True)
        noise *= math.sqrt(grad_norm_sq) / (size if fixed_norm else math.sqrt(dim - 1))
        w = (1 - lr * wd) * w - lr * noise / r
        kept.append(np.linalg.norm(w, axis=1) ** 4)
    return np.mean(kept[-keep:], axis=0)


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
        r"^Unknown optimizer 'sdg'\. Known: sgd, rmsprop, adam, adamw\. Did you mean 'sgd'\?$"
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


@pytest.mark.parametrize("value", BAD_POSITIVE)
@pytest.mark.parametrize("name", ["lr", "wd"])
def test_sgd_radius_refuses_what_is_not_positive_and_finite(name, value):
    arguments = {"lr": 0.1, "wd": 0.1, "grad_norm_sq": 1.0} | {name: value}
    with pytest.raises(UsageError) as refused:
        sgd_radius(**arguments)
    assert str(refused.value) == f"`{name}` must be positive and finite, got {value!r}."


@pytest.mark.parametrize("value", [-1e-9, math.inf, math.nan, [0.0, -1.0]])
def test_sgd_radius_refuses_a_gradient_norm_that_is_none(value):
    with pytest.raises(UsageError) as refused:
        sgd_radius(lr=0.1, wd=0.1, grad_norm_sq=value)
    assert (
        str(refused.value) == f"`grad_norm_sq` must be zero or positive and finite, got {value!r}."
    )


@pytest.mark.parametrize(("lr", "wd"), [(1.0, 2.0), (2.0, 1.5), ([0.1, 4.0], 0.5)])
def test_sgd_radius_refuses_a_decay_that_makes_the_weight_grow(lr, wd):
    product = np.max(np.multiply(lr, wd))
    with pytest.raises(UsageError) as refused:
        sgd_radius(lr=lr, wd=wd, grad_norm_sq=1.0)
    assert str(refused.value) == (
        f"`lr` times `wd` must be below 2, got {product}: past it the decay alone makes the "
        "weight grow, and there is no equilibrium."
    )


def test_sgd_radius_is_its_closed_form():
    # ηG / (λ(2 − ηλ)) = 0.5 · 3 / (0.8 · 1.6) = 1.171875
    assert sgd_radius(lr=0.5, wd=0.8, grad_norm_sq=3.0) == pytest.approx(1.171875**0.25, rel=1e-15)


def test_sgd_radius_of_no_gradient_is_zero():
    assert sgd_radius(lr=0.5, wd=0.8, grad_norm_sq=0.0) == 0.0


def test_sgd_radius_broadcasts():
    found = sgd_radius(lr=[[0.1], [0.2], [0.3]], wd=[0.1, 0.2], grad_norm_sq=1.0)
    assert found.shape == (3, 2)
    assert found[2, 1] == pytest.approx((0.3 / (0.2 * (2 - 0.06))) ** 0.25, rel=1e-15)


@given(POSITIVE, st.floats(1e-9, 1.9), POSITIVE)
def test_sgd_radius_is_where_one_step_leaves_the_radius(lr, product, grad_norm_sq):
    wd = product / lr
    r = sgd_radius(lr=lr, wd=wd, grad_norm_sq=grad_norm_sq)
    shrunk, grown = (1 - (1 - product) ** 2) * r**2, lr**2 * grad_norm_sq / r**2
    assert shrunk == pytest.approx(grown, rel=1e-6)


@pytest.mark.parametrize(("lr", "wd"), [(0.1, 0.2), (0.5, 1.0), (0.5, 3.0)])
def test_sgd_radius_is_that_of_a_simulation_with_gradients_of_one_length(lr, wd):
    found = simulated_radius_4(lr, wd, 4.0, fixed_norm=True, dim=20, chains=20)
    exact = sgd_radius(lr=lr, wd=wd, grad_norm_sq=4.0) ** 4
    assert found == pytest.approx(np.full(len(found), exact), rel=1e-6)


@pytest.mark.parametrize(("lr", "wd"), [(0.1, 0.2), (0.5, 1.0)])
def test_sgd_radius_is_that_of_a_noisy_simulation_within_three_standard_errors(lr, wd):
    # Many entries: the length of ḡ must not vary much, or r⁴ is larger by the variance of r².
    found = simulated_radius_4(lr, wd, 4.0, fixed_norm=False, dim=2000, chains=40)
    error = found.std(ddof=1) / math.sqrt(len(found))
    exact = sgd_radius(lr=lr, wd=wd, grad_norm_sq=4.0) ** 4
    assert error < 0.003 * exact  # or the comparison says nothing
    assert abs(found.mean() - exact) < 3 * error

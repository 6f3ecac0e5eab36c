import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import equilibrium, update_norm

C, G = 1024, 3.0
CHAINS = 16
NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315


def length(w):
    return np.sqrt(np.einsum("cij,cij->c", w, w))[:, None, None]


def orthogonalized(m):
    a, b, c = NEWTON_SCHULZ
    tall = m.shape[1] > m.shape[2]
    m = (m.swapaxes(1, 2) if tall else m) / length(m)
    for _ in range(5):
        gram = m @ m.swapaxes(1, 2)
        m = a * m + (b * gram + c * gram @ gram) @ m
    return m.swapaxes(1, 2) if tall else m


def updates(optimizer, gradients, arguments):
    """torch's updates by these gradients, without bias corrections, and with ε = 0."""
    first, second = 0.0, G / C
    mu = arguments.get("momentum", 0.95 if optimizer == "muon" else 0.0)
    kept = 1 - arguments.get("dampening", 0.0)
    nesterov = arguments.get("nesterov", optimizer == "muon")
    b1, b2 = arguments.get("betas", (0.9, 0.99) if optimizer == "lion" else (0.9, 0.999))
    alpha = arguments.get("alpha", 0.99)
    for g in gradients:
        if optimizer == "sgd":
            first = mu * first + kept * g
            yield g + mu * first if nesterov else first
        elif optimizer == "rmsprop":
            second = alpha * second + (1 - alpha) * g**2
            first = mu * first + g / np.sqrt(second)
            yield first
        elif optimizer == "lion":
            yield np.sign(b1 * first + (1 - b1) * g)
            first = b2 * first + (1 - b2) * g
        elif optimizer in ("adam", "adamw"):
            first = b1 * first + (1 - b1) * g
            second = b2 * second + (1 - b2) * g**2
            yield first / np.sqrt(second)
        elif optimizer == "nadam":  # once its momentum has come to rest at β₁
            first = b1 * first + (1 - b1) * g
            second = b2 * second + (1 - b2) * g**2
            yield ((1 - b1) * g + b1 * first) / np.sqrt(second)
        else:
            first = mu * first + (1 - mu) * g
            mixed = (1 - mu) * g + mu * first if nesterov else first
            if optimizer == "normalized":
                yield mixed / length(mixed)
                continue
            rows, columns = g.shape[1:]
            adjust = arguments.get("adjust_lr_fn") == "match_rms_adamw"
            size = 0.2 * math.sqrt(max(rows, columns)) if adjust else max(1, rows / columns) ** 0.5
            yield size * orthogonalized(mixed)


RULES = [
    ("sgd", {}),
    ("sgd", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.6, "dampening": 0.3}),
    ("sgd", {"momentum": 0.9, "nesterov": True}),
    ("sgd", {"momentum": 0.5, "nesterov": True, "dampening": 0.6}),
    ("rmsprop", {}),
    ("rmsprop", {"alpha": 0.98, "momentum": 0.8}),
    ("adam", {}),
    ("adamw", {"betas": (0.5, 0.99)}),
    ("adamw", {"betas": (0.95, 0.98)}),
    ("adamw", {"betas": (0.0, 0.99)}),
    ("nadam", {}),
    ("nadam", {"betas": (0.5, 0.98)}),
    ("lion", {}),
    ("normalized", {"momentum": 0.9}),
    ("muon", {"shape": (64, 64)}),
    ("muon", {"shape": (128, 32), "momentum": 0.5, "nesterov": False}),
    ("muon", {"shape": (32, 128), "adjust_lr_fn": "match_rms_adamw"}),
]


@pytest.mark.parametrize(("optimizer", "arguments"), RULES, ids=str)
def test_updates_by_noise_are_as_long_as_predicted(optimizer, arguments):
    muon = optimizer == "muon"
    shape = arguments.get("shape", (1, C))
    burn, steps = (60, 20) if muon else (200, 200)
    rng = np.random.default_rng(3)
    deviation = math.sqrt(G / math.prod(shape))
    gradients = (deviation * rng.standard_normal((CHAINS, *shape)) for _ in range(burn + steps))
    found = [length(u).ravel() ** 2 for u in updates(optimizer, gradients, arguments)][burn:]
    means = np.mean(found, axis=0)
    error = means.std(ddof=1) / math.sqrt(CHAINS) / means.mean() / 2
    assert error < 0.003
    needs = {} if optimizer in ("muon", "normalized") else {"dim": C}
    predicted = update_norm(optimizer, **arguments, **needs, grad_norm_sq=G)
    # Muon's formula is that of large matrices, Adam's is to first order in 1 − β₂.
    beta2 = arguments.get("betas", (0, 0.999))[1] if "adam" in optimizer else 1.0
    beta2 = min(beta2, arguments.get("alpha", 0.99)) if optimizer == "rmsprop" else beta2
    allowed = 0.4 / math.sqrt(math.prod(shape)) if muon else 3 * (1 - beta2) ** 2
    assert abs(math.sqrt(means.mean()) / predicted - 1) < 3 * error + allowed + 1e-12


@given(st.floats(0, 0.999), st.floats(0, 0.9), st.floats(1e-6, 1e6), st.floats(1, 1e9))
def test_norms_are_the_closed_forms(mu, dampening, g, dim):
    kept = 1 - dampening if mu else 1.0  # torch has no buffer without momentum
    heavy = kept * math.sqrt(g / (1 - mu**2))
    assert update_norm("sgd", momentum=mu, dampening=dampening, grad_norm_sq=g) == pytest.approx(
        heavy, rel=1e-10
    )
    # Nesterov: g + μ(κg + μ v), with v of variance κ²/(1 − μ²).
    mixed = math.sqrt(g * ((1 + mu * kept) ** 2 + (mu**2 * kept) ** 2 / (1 - mu**2)))
    found = update_norm("sgd", momentum=mu, dampening=dampening, nesterov=True, grad_norm_sq=g)
    assert found == pytest.approx(mixed, rel=1e-10)
    last = 1 - 1e-12  # a second moment at its mean
    adam = math.sqrt(dim * (1 - mu) / (1 + mu))
    for name in ("adam", "adamw"):
        found = update_norm(name, betas=(mu, last), dim=dim)
        assert found == pytest.approx(adam, rel=1e-8)
    found = update_norm("rmsprop", momentum=mu, alpha=last, dim=dim)
    assert found == pytest.approx(math.sqrt(dim / (1 - mu**2)), rel=1e-8)
    assert update_norm("lion", betas=(mu, dampening), dim=dim) == pytest.approx(math.sqrt(dim))
    assert update_norm("normalized", momentum=mu) == 1.0


@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [
        ("sgd", {"grad_norm_sq": 2.0}),
        ("adamw", {"betas": (0.0, 0.999), "dim": 500.0}),
        ("lion", {"betas": (0.0, 0.0), "dim": 500.0}),
        ("normalized", {}),
    ],
)
def test_short_steps_turn_by_the_norm_times_the_effective_rate(optimizer, arguments):
    found = equilibrium(optimizer, lr=1e-3, wd=1e-3, **arguments)
    angle = update_norm(optimizer, **arguments) * found.effective_lr
    assert angle == pytest.approx(found.angle, rel=1e-5)


def test_with_momentum_too_the_turn_of_a_step_is_its_length():
    for momentum in (0.5, 0.9):
        found = equilibrium("sgd", lr=1e-4, wd=1e-3, momentum=momentum, grad_norm_sq=2.0)
        norm = update_norm("sgd", momentum=momentum, grad_norm_sq=2.0)
        assert norm * found.effective_lr == pytest.approx(found.angle, rel=1e-4)


def test_norms_broadcast():
    found = update_norm("sgd", momentum=[[0.0], [0.6]], grad_norm_sq=[1.0, 4.0, 9.0])
    assert found.tolist() == [
        pytest.approx([1.0, 2.0, 3.0]),
        pytest.approx([1.25, 2.5, 3.75]),
    ]
    found = update_norm("adamw", betas=([0.0, 0.6], 1 - 1e-12), dim=4.0)
    assert found == pytest.approx([2.0, 1.0])
    found = update_norm("normalized", momentum=[0.5, 0.9])
    assert np.broadcast_to(found, 2).tolist() == [1.0, 1.0]


def test_one_number_is_a_scalar():
    for found in (
        update_norm("sgd", grad_norm_sq=4.0),
        update_norm("adamw", dim=4.0),
        update_norm("muon", shape=(4, 4)),
        update_norm("normalized"),
    ):
        assert isinstance(found, np.float64)


NEEDED = "`{}` is needed for the update of `{}`."


@pytest.mark.parametrize(
    ("optimizer", "arguments", "sentence"),
    [
        ("sgd", {}, NEEDED.format("grad_norm_sq", "sgd")),
        ("adam", {"grad_norm_sq": 1.0}, NEEDED.format("dim", "adam")),
        ("adamw", {}, NEEDED.format("dim", "adamw")),
        ("rmsprop", {}, NEEDED.format("dim", "rmsprop")),
        ("lion", {}, NEEDED.format("dim", "lion")),
        ("muon", {"dim": 9.0}, "`shape`, (rows, columns) of the matrix, is needed for `muon`."),
        ("muon", {"shape": (3,)}, "`shape` must be (rows, columns) of a matrix, got (3,)."),
        ("muon", {"shape": (3, 0)}, "`shape[1]` must be a whole number from 1 on, got 0."),
        (
            "muon",
            {"shape": (3, 4), "adjust_lr_fn": "none"},
            "Unknown adjust_lr_fn 'none'. Known: original, match_rms_adamw.",
        ),
        ("sgd", {"grad_norm_sq": 0.0}, "`grad_norm_sq` must be positive and finite, got 0.0."),
        (
            "sgd",
            {"grad_norm_sq": "G"},
            "`grad_norm_sq` must be a number or an array of them, got 'G'.",
        ),
        ("adamw", {"dim": -1.0}, "`dim` must be positive and finite, got -1.0."),
        ("sgd", {"momentum": 1.0, "grad_norm_sq": 1.0}, "`momentum` must lie in [0, 1), got 1.0."),
        ("sgd", {"dampening": -0.1}, "`dampening` must lie in [0, 1), got -0.1."),
        ("sgd", {"nesterov": 1, "grad_norm_sq": 1.0}, "`nesterov` must be True or False, got 1."),
        ("adamw", {"betas": 0.9}, "`betas` must be a pair of numbers in [0, 1), got 0.9."),
        ("adamw", {"betas": (0.9, 1.0), "dim": 9}, "`betas[1]` must lie in [0, 1), got 1.0."),
        ("rmsprop", {"alpha": math.nan, "dim": 9}, "`alpha` must lie in [0, 1), got nan."),
        ("adamw", {"momentum": 0.9}, "`adamw` has no argument `momentum`; it takes `betas`."),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_in_a_sentence(optimizer, arguments, sentence):
    with pytest.raises(UsageError) as refused:
        update_norm(optimizer, **arguments)
    assert str(refused.value) == sentence


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(UnknownNameError, match=r"^Unknown optimizer 'sdg'\."):
        update_norm("sdg", grad_norm_sq=1.0)


@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [
        ("sgd", {"momentum": 0.999, "grad_norm_sq": 1e308}),
        ("sgd", {"momentum": 0.9, "nesterov": True, "grad_norm_sq": 1e308}),
        ("rmsprop", {"momentum": 0.999, "dim": 1e308}),
    ],
    ids=["heavy ball", "nesterov", "rmsprop"],
)
def test_norms_of_the_largest_numbers_are_right_or_refused(optimizer, arguments):
    try:
        found = update_norm(optimizer, **arguments)
    except UsageError as refused:
        assert "lies outside what float64 can hold" in str(refused)  # noqa: PT017
    else:
        assert 1e154 < found < 1e157


@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [
        ("sgd", {"momentum": [0.1, 0.2], "grad_norm_sq": [1.0, 2.0, 3.0]}),
        ("adamw", {"betas": ([0.1, 0.2], 0.9), "dim": [1.0, 2.0, 3.0]}),
        ("adamw", {"betas": ([0.1, 0.2], [0.9, 0.8, 0.7]), "dim": 4.0}),
    ],
    ids=["sgd", "dim", "betas"],
)
def test_shapes_that_do_not_broadcast_are_refused(optimizer, arguments):
    with pytest.raises(UsageError, match=r"^The shapes do not broadcast against each other: "):
        update_norm(optimizer, **arguments)

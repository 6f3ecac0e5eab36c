import dataclasses
import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from etaeff.convert import Match, Setting, match
from etaeff.errors import UnknownNameError, UsageError
from etaeff.theory import PUBLISHED_SETTINGS, equilibrium

ALL = ("sgd", "rmsprop", "adam", "adamw", "lion", "muon", "normalized")
WITH_MEMORY = tuple(name for name in ALL if name != "lion")
BLOCK = {"dim": 768.0, "grad_norm_sq": 2.0}
SHAPE = (64, 256)
NEEDED = {
    "sgd": ("grad_norm_sq",),
    "rmsprop": ("dim", "grad_norm_sq"),
    "adam": ("dim", "grad_norm_sq"),
    "adamw": ("dim",),
    "lion": ("dim",),
    "muon": ("shape",),
    "normalized": (),
}
SOURCES = {
    "sgd": "sgd lr=0.1 wd=5e-4",
    "sgd momentum": "sgd lr=0.1 wd=5e-4 momentum=0.9",
    "sgd nesterov": "sgd lr=0.1 wd=5e-4 momentum=0.9 nesterov=true",
    "sgd dampening": "sgd lr=0.1 wd=5e-3 momentum=0.9 dampening=0.5",
    "sgd decoupled": "sgd lr=0.1 wd=1e-3 momentum=0.9 decay=decoupled",
    "rmsprop": "rmsprop lr=1e-3 wd=0.1 alpha=0.99",
    "adam": "adam lr=1e-4 wd=0.1",
    "adamw": "adamw lr=3e-4 wd=0.1",
    "lion": "lion lr=1e-4 wd=1.0",
    "muon": "muon lr=1e-3 wd=0.1",
    "normalized": "normalized lr=1e-3 wd=0.1 momentum=0.5",
}
ANY_LR = "Any lr will do with wd in inverse proportion; lr={} is usual. Give `lr`, or what both "


def parse(name):
    return Setting.parse(SOURCES[name])


def settled(setting):
    """The equilibrium of a setting, asked for by itself."""
    known = BLOCK | {"shape": SHAPE}
    needed = {name: known[name] for name in NEEDED[setting.optimizer]}
    return equilibrium(setting.optimizer, **needed, **setting.arguments())


def convert(source, target, **arguments):
    return match(source, target, **(BLOCK | {"shape": SHAPE} | arguments))


def says(found, words):
    return any(words in note for note in found.notes)


NOT_MATCHED = "The time to equilibrium is not matched"


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("source", ["sgd momentum", "sgd dampening", "adam", "lion"])
def test_target_turns_as_far_in_the_same_time_at_the_same_radius(source, target):
    found = convert(parse(source), target)
    assert isinstance(found, Match)
    assert found.setting.optimizer == target
    before, after = settled(parse(source)), settled(found.setting)
    assert after.angle == pytest.approx(before.angle, rel=1e-10)
    assert after.radius == pytest.approx(before.radius, rel=1e-9)
    in_time = abs(after.half_life / before.half_life - 1) < 1e-6
    assert says(found, NOT_MATCHED) != in_time
    assert says(found, f"lr is such that the norm settles at {before.radius:.4g}, as it did.")
    # What is returned beside the setting is its equilibrium, and the source's.
    for name in ("angle", "radius", "half_life", "effective_lr"):
        assert getattr(found.target, name) == pytest.approx(getattr(after, name), rel=1e-12)
        assert getattr(found.source, name) == pytest.approx(getattr(before, name), rel=1e-12)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("sgd momentum", "adamw"),
        ("sgd momentum", "adam"),
        ("sgd decoupled", "normalized"),
        ("sgd nesterov", "muon"),
        ("adamw", "sgd"),
        ("lion", "sgd"),
        ("muon", "adamw"),
    ],
)
def test_momentum_is_found_with_which_the_time_is_the_same(source, target):
    found = convert(parse(source), target)
    assert found.target.half_life == pytest.approx(found.source.half_life, rel=1e-6)
    assert not says(found, NOT_MATCHED)


def test_a_target_that_is_sooner_there_in_any_case_has_no_momentum():
    # Without momentum the half-life times θ² is ln 2 for these, and half of that for SGD.
    found = match(Setting.parse("normalized lr=1e-3 wd=0.1"), "sgd")
    assert found.setting.momentum == 0.0
    assert found.target.half_life == pytest.approx(found.source.half_life / 2, rel=1e-3)
    assert found.target.angle == pytest.approx(found.source.angle, rel=1e-10)
    assert (
        "`sgd` is at its equilibrium sooner at this angle even without momentum, so it has none "
        "here."
    ) in found.notes
    assert (
        f"The time to equilibrium is not matched: its half-life is {found.target.half_life:.4g} "
        f"steps, and the source's {found.source.half_life:.4g}."
    ) in found.notes


def test_a_second_moment_that_would_lag_behind_is_made_faster():
    source = Setting.parse("sgd lr=0.1 wd=1e-2")  # a half-life of 173 steps
    found = match(source, "adamw")
    assert found.target.half_life == pytest.approx(found.source.half_life, rel=1e-6)
    assert found.setting.betas[1] < 0.999
    (note,) = (note for note in found.notes if "beta2" in note)
    assert note.startswith(f"beta2 is {found.setting.betas[1]:g}: at 0.999 the second moment ")
    kept = match(source, "adamw", betas=(found.setting.betas[0], 0.999))
    assert kept.target.half_life > 2 * kept.source.half_life
    assert says(kept, NOT_MATCHED)
    slow = match(Setting.parse("sgd lr=0.1 wd=1e-4"), "adamw")
    assert slow.setting.betas[1] == 0.999
    assert not says(slow, "beta2")


def test_lion_has_no_momentum_to_match_the_time_with():
    found = match(parse("sgd momentum"), "lion")
    assert found.setting.betas is None
    assert found.target.angle == pytest.approx(found.source.angle, rel=1e-10)
    assert (
        f"The time to equilibrium is not matched: its half-life is {found.target.half_life:.4g} "
        f"steps, and the source's {found.source.half_life:.4g}."
    ) in found.notes
    assert abs(found.target.half_life / found.source.half_life - 1) > 0.01


def test_momentum_of_adamw_is_that_of_the_small_angle_formula():
    # ln 2/2 (1−μ)/(1+μ) = ln 2 (1−β)/(1+β) at μ = 0.9 gives β = 37/39.
    found = match(Setting.parse("sgd lr=1e-6 wd=5e-4 momentum=0.9"), "adamw", lr=1e-3)
    assert found.setting.betas[0] == pytest.approx(37 / 39, rel=1e-4)
    # θ² = 2x/(1+μ) = 2x'(1−β)/(1+β).
    x = 5e-10 / 1.9 * (1 + 37 / 39) / (1 - 37 / 39)
    assert found.setting.lr * found.setting.wd == pytest.approx(x, rel=1e-3)


@pytest.mark.parametrize("lr", [1e-6, 10.0])
@pytest.mark.parametrize("target", ALL)
def test_a_given_lr_is_used_and_decay_follows(target, lr):
    found = convert(parse("sgd momentum"), target, lr=lr, match_time=False)
    assert found.setting.lr == lr
    assert settled(found.setting).angle == pytest.approx(found.source.angle, rel=1e-10)
    assert not says(found, "lr is such")
    assert not says(found, "Any lr will do")


@pytest.mark.parametrize(
    ("target", "usual"),
    [("sgd", 1e-3), ("adamw", 1e-3), ("lion", 1e-4), ("muon", 1e-3), ("normalized", 1e-3)],
)
def test_without_the_radii_lr_is_the_usual_one_and_said_to_be_free(target, usual):
    source = parse("sgd momentum")
    found = match(source, target)
    assert found.setting.lr == usual
    assert says(found, ANY_LR.format(f"{usual:g}"))
    other = match(source, target, lr=7 * usual)
    assert other.setting.wd == pytest.approx(found.setting.wd / 7, rel=1e-12)
    assert other.target.angle == pytest.approx(found.target.angle, rel=1e-10)


def test_what_is_given_of_the_target_is_kept():
    source = parse("sgd momentum")
    found = match(source, "adamw", betas=(0.8, 0.95))
    assert found.setting.betas == (0.8, 0.95)
    assert says(found, NOT_MATCHED)
    found = match(source, "sgd", momentum=0.5, nesterov=True, decay="decoupled")
    assert (found.setting.momentum, found.setting.nesterov) == (0.5, True)
    assert found.setting.decay == "decoupled"
    assert found.target.angle == pytest.approx(found.source.angle, rel=1e-10)
    found = match(source, "sgd", nesterov=True)
    assert found.setting.nesterov is True
    assert found.target.half_life == pytest.approx(found.source.half_life, rel=1e-6)


def test_time_may_be_left_alone():
    found = match(parse("sgd momentum"), "adamw", match_time=False)
    assert found.setting.betas is None
    assert found.target.angle == pytest.approx(found.source.angle, rel=1e-10)
    assert says(found, NOT_MATCHED)


def test_muon_may_have_its_rate_adjusted():
    given = {"shape": (64, 256), "adjust_lr_fn": "match_rms_adamw", "lr": 1e-3}
    found = match(parse("adamw"), "muon", **given)
    assert found.target.angle == pytest.approx(found.source.angle, rel=1e-10)


# There and back.


def given_to(setting):
    """The arguments that a target has to be told, because no other setting says them."""
    names = {"sgd": ("nesterov", "dampening", "decay"), "rmsprop": ("alpha", "decay")}
    own = names.get(setting.optimizer, ("nesterov", "decay"))
    found = {name: getattr(setting, name) for name in own}
    return {name: value for name, value in found.items() if value is not None}


def assert_same(found, expected, rel):
    assert found.lr == pytest.approx(expected.lr, rel=rel)
    assert found.wd == pytest.approx(expected.wd, rel=rel)
    if expected.betas is not None:
        assert found.betas[0] == pytest.approx(expected.betas[0], rel=rel, abs=rel)
    if expected.momentum is not None:
        assert found.momentum == pytest.approx(expected.momentum, rel=rel, abs=rel)


@pytest.mark.parametrize("source", SOURCES)
def test_the_same_optimizer_has_the_same_setting(source):
    source = parse(source)
    found = convert(source, source.optimizer, **given_to(source))
    assert_same(found.setting, source, 1e-7)
    assert not says(found, NOT_MATCHED)


@pytest.mark.parametrize("target", ["sgd", "adamw", "normalized", "adam"])
@pytest.mark.parametrize("source", ["sgd nesterov", "adamw", "adam"])
def test_matching_back_is_the_identity(source, target):
    source = parse(source)
    there = convert(source, target)
    if says(there, NOT_MATCHED):
        # What the target could not have is lost: then the momentum has to be said.
        given = {name: getattr(source, name) for name in ("momentum", "betas")}
        kept = {name: value for name, value in given.items() if value is not None}
        if source.optimizer in ("adam", "adamw"):
            kept = {"betas": (0.9, 0.999)}
        back = convert(there.setting, source.optimizer, **given_to(source), **kept)
    else:
        back = convert(there.setting, source.optimizer, **given_to(source))
    assert_same(back.setting, source, 1e-6)


@settings(max_examples=20)
@given(
    st.sampled_from(["sgd", "adamw", "normalized"]),
    st.sampled_from(["sgd", "adamw", "normalized"]),
    st.floats(-6, -4),
    st.floats(-4, 0),
    st.floats(0, 0.95),
)
def test_matching_there_and_back_is_the_identity(source, target, log_x, log_lr, momentum):
    memory = {"betas": (momentum, 0.999)} if source == "adamw" else {"momentum": momentum}
    lr = 10**log_lr
    # So slow that memories are short beside the time to equilibrium.
    wd = 10**log_x * (1 - momentum) ** 2 / lr
    first = Setting(optimizer=source, lr=lr, wd=wd, **memory)
    there = match(first, target, **BLOCK)
    assert there.target.angle == pytest.approx(there.source.angle, rel=1e-10)
    assert there.target.radius == pytest.approx(there.source.radius, rel=1e-9)
    if says(there, NOT_MATCHED):
        assert says(there, "sooner at this angle even without momentum")
        return
    back = match(there.setting, source, **BLOCK)
    assert_same(back.setting, first, 1e-6)


@settings(max_examples=40)
@given(
    st.sampled_from(list(SOURCES)), st.sampled_from(ALL), st.floats(-12, 3), st.floats(-3, 12),
    st.floats(-6, 1),
)  # fmt: skip
def test_any_block_is_matched_or_refused_in_a_sentence(source, target, log_g, log_dim, log_lr):
    source = dataclasses.replace(parse(source), lr=10**log_lr)
    block = {"dim": 10**log_dim, "grad_norm_sq": 10**log_g, "shape": SHAPE}
    try:
        known = {name: block[name] for name in NEEDED[source.optimizer]}
        before = equilibrium(source.optimizer, **known, **source.arguments())
    except UsageError:
        assume(False)
    assume(before.angle < 0.2)  # so every target can turn as far
    found = match(source, target, match_time=False, **block)
    assert found.target.angle == pytest.approx(before.angle, rel=1e-9)


# Published settings.


@pytest.mark.parametrize("target", ALL)
def test_every_published_setting_has_its_match(target):
    for published in PUBLISHED_SETTINGS:
        source = Setting(
            optimizer=published.optimizer,
            lr=published.lr,
            wd=published.wd,
            momentum=published.momentum,
            betas=published.betas,
            nesterov=published.nesterov,
        )
        # The time costs a second of searching for some, and is tested above.
        found = convert(source, target, match_time=target in ("sgd", "rmsprop"))
        assert found.target.angle == pytest.approx(found.source.angle, rel=1e-9), published.name
        assert found.target.radius == pytest.approx(found.source.radius, rel=1e-9), published.name


# Large turns.


@pytest.mark.parametrize("x", [0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("target", ["sgd", "adamw", "lion", "muon", "normalized"])
def test_turns_of_up_to_a_right_angle_are_matched(target, x):
    # 1 − cosine is ηλ for normalised gradients, and for SGD too.
    source = Setting(optimizer="normalized", lr=1.0, wd=x)
    found = match(source, target, match_time=False, shape=SHAPE)
    assert found.source.angle == pytest.approx(math.acos(1 - x), rel=1e-12)
    assert found.target.angle == pytest.approx(math.acos(1 - x), rel=1e-9)
    if target == "sgd":
        assert found.setting.lr * found.setting.wd == pytest.approx(x, rel=1e-9)


@pytest.mark.parametrize("x", [0.05, 0.5, 0.6, 0.9])
def test_sgd_is_its_own_match_at_any_step(x):
    source = Setting(optimizer="sgd", lr=1.0, wd=x)
    found = match(source, "sgd", lr=1.0)
    assert found.setting.wd == pytest.approx(x, rel=1e-9)


def test_a_step_that_forgets_everything_has_a_match():
    source = Setting(optimizer="normalized", lr=1.0, wd=1.0)  # a right angle, in no time
    found = match(source, "adamw", lr=1.0, betas=(0.0, 0.999))
    assert found.target.angle == pytest.approx(math.pi / 2, rel=1e-9)
    same = match(source, "normalized", lr=1.0)
    assert same.setting.wd == pytest.approx(1.0, rel=1e-9)
    for one in (found, same):
        assert not says(one, "1e-12")


@pytest.mark.parametrize(
    ("source", "target", "arguments"),
    [
        ("normalized lr=1 wd=1.9", "sgd", {"momentum": 0.9}),
        ("adamw lr=1 wd=1.99", "sgd", {"momentum": 0.9}),
        ("adamw lr=1 wd=1.9", "rmsprop", {"momentum": 0.5}),
    ],
)
def test_a_turn_that_the_target_cannot_take_is_said(source, target, arguments):
    with pytest.raises(UsageError) as refused:
        match(Setting.parse(source), target, **BLOCK, match_time=False, **arguments)
    assert str(refused.value) == (
        "The target cannot turn as far as the source at any decay that is stable."
    )


# What is refused.


UNKNOWN_TURN = (
    "The turn of `{}` is not known. Every quantity needs {}: the decay that Adam sees depends on "
    "both."
)


@pytest.mark.parametrize(
    ("source", "target", "arguments", "sentence"),
    [
        ("sgd", "adam", {}, UNKNOWN_TURN.format("adam", "`dim` and `grad_norm_sq`")),
        ("sgd", "rmsprop", {"dim": 9.0}, UNKNOWN_TURN.format("rmsprop", "`grad_norm_sq`")),
        ("adam", "sgd", {"grad_norm_sq": 9.0}, UNKNOWN_TURN.format("adam", "`dim`")),
        (
            "sgd",
            "adamw",
            {"momentum": 0.9},
            "`adamw` has no argument `momentum`; it takes `betas`.",
        ),
        ("sgd", "adamw", {"betas": 0.9}, "`betas` must be a pair of numbers in [0, 1), got 0.9."),
        ("sgd", "adamw", {"betas": (0.9, 1.0)}, "`betas[1]` must lie in [0, 1), got 1.0."),
        ("sgd", "sgd", {"momentum": 1.0}, "`momentum` must lie in [0, 1), got 1.0."),
        ("sgd", "sgd", {"nesterov": "yes"}, "`nesterov` must be True or False, got 'yes'."),
        ("sgd", "sgd", {"decay": "l3"}, "`decay` must be \"l2\" or \"decoupled\", got 'l3'."),
        ("sgd", "adamw", {"dim": -1.0}, "`dim` must be positive and finite, got -1.0."),
        (
            "sgd",
            "adamw",
            {"grad_norm_sq": 0.0},
            "`grad_norm_sq` must be positive and finite, got 0.0.",
        ),
        (
            "adamw",
            "muon",
            {"shape": (3,)},
            "`shape` must be (rows, columns) of a matrix, got (3,).",
        ),
        ("adamw", "muon", {"shape": (3, 0)}, "`shape[1]` must be a whole number from 1 on, got 0."),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_in_a_sentence(source, target, arguments, sentence):
    with pytest.raises(UsageError) as refused:
        match(parse(source), target, **arguments)
    assert str(refused.value) == sentence


@pytest.mark.parametrize("target", ["adamw", "adam"])
@pytest.mark.parametrize("lr", [0.0, -1.0, math.nan, math.inf, "fast"])
def test_an_lr_that_is_not_positive_is_refused(target, lr):
    with pytest.raises(UsageError, match=r"`?lr`? .*\.$"):
        match(parse("sgd"), target, lr=lr, match_time=False, **BLOCK)


@pytest.mark.parametrize("target", ["adamw", "adam"])
@pytest.mark.parametrize("lr", [1e300, 1e-300, 5e-324])
def test_an_lr_at_the_end_of_float64_gives_a_setting_or_a_sentence(target, lr):
    try:
        found = match(parse("sgd"), target, lr=lr, match_time=False, **BLOCK)
    except UsageError as refused:
        assert str(refused).endswith(".")  # noqa: PT017
    else:
        assert 0 < found.setting.wd < math.inf


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sgd lr=0 wd=1", "`lr` must be positive and finite, got 0.0."),
        ("sgd lr=1 wd=nan", "`wd` must be positive and finite, got nan."),
        ("sgd lr=1 wd=0", "`wd` must be positive and finite, got 0.0."),
        ("sgd lr=1 wd=2", "`lr` times `wd` must be below 2, got 2.0"),
        ("adamw lr=1 wd=.1 momentum=0.9", "`adamw` has no argument `momentum`; it takes `betas`."),
    ],
)
def test_a_bad_source_is_refused_in_a_sentence(text, sentence):
    with pytest.raises(UsageError) as refused:
        match(Setting.parse(text), "adamw")
    assert str(refused.value).startswith(sentence)


def test_unknown_optimizers_are_refused():
    with pytest.raises(UnknownNameError, match=r"^Unknown optimizer 'sdg'\."):
        match(parse("sgd"), "sdg")
    with pytest.raises(UnknownNameError, match=r"^Unknown optimizer 'sdg'\."):
        match(dataclasses.replace(parse("sgd"), optimizer="sdg"), "adamw")

import json
import math
import subprocess

import numpy as np
import pytest

from etaeff.convert import Setting, exponential_schedule, match, to_sphere
from etaeff.theory import equilibrium, lr_schedule

SGD = "sgd lr=0.1 wd=5e-4 momentum=0.9"
ADAMW = "adamw lr=3e-4 wd=0.1"
ALL = ("sgd", "rmsprop", "adam", "adamw", "lion", "muon", "normalized", "nadam")
SPHERES = ("sphere-sgd", "sphere-adam", "sphere-lion", "sphere-muon")
TARGETS = ", ".join((*ALL, *SPHERES, "no-decay"))
BLOCK = ("--dim", 768, "--grad-norm-sq", 2, "--shape", "64,256")
KNOWN = {"dim": 768.0, "grad_norm_sq": 2.0, "shape": (64, 256)}
NEEDED = {
    "sgd": ("grad_norm_sq",), "rmsprop": ("dim", "grad_norm_sq"), "adam": ("dim", "grad_norm_sq"),
    "adamw": ("dim",), "lion": ("dim",), "muon": ("shape",), "normalized": (),
    "nadam": ("dim", "grad_norm_sq"),
}  # fmt: skip


@pytest.fixture
def converted(etaeff):
    """The JSON object that the command prints."""

    def run(source, target, *arguments):
        done = etaeff("convert", "--from", source, "--to", target, *arguments, "--json")
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out, parse_constant=pytest.fail)  # NaN and Infinity are no JSON

    return run


@pytest.fixture
def shown(etaeff):
    """What the command prints, as running text without line breaks."""

    def run(source, target, *arguments):
        done = etaeff("convert", "--from", source, "--to", target, *arguments)
        assert (done.code, done.err) == (0, "")
        assert max(len(line) for line in done.out.splitlines()) <= 100
        return " ".join(done.out.split())

    return run


@pytest.fixture
def refused(etaeff):
    """Exit code and sentence of a refusal."""

    def run(source, target, *arguments):
        done = etaeff("convert", "--from", source, "--to", target, *arguments)
        return done.code, done.sentence

    return run


def settled(text):
    """The equilibrium of a printed setting."""
    setting = Setting.parse(text)
    needed = {name: KNOWN[name] for name in NEEDED[setting.optimizer]}
    return equilibrium(setting.optimizer, **needed, **setting.arguments())


# Another optimiser.


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("source", [SGD, ADAMW])
def test_the_printed_setting_turns_as_far_at_the_same_radius(converted, source, target):
    found = converted(source, target, *BLOCK)
    assert found["target"]["setting"].split()[0] == target
    before, after = settled(source), settled(found["target"]["setting"])
    # The setting is printed with twelve digits.
    assert after.angle == pytest.approx(before.angle, rel=1e-9)
    assert after.radius == pytest.approx(before.radius, rel=1e-9)
    for side, expected in (("source", before), ("target", after)):
        assert found[side]["angle"] == pytest.approx(float(expected.angle), rel=1e-9)
        assert found[side]["angle_degrees"] == pytest.approx(math.degrees(expected.angle), rel=1e-9)
        for name in ("radius", "half_life", "effective_lr"):
            assert found[side][name] == pytest.approx(float(getattr(expected, name)), rel=1e-7)
    in_time = abs(after.half_life / before.half_life - 1) < 1e-5
    assert in_time != any("The time to equilibrium" in note for note in found["notes"])


def test_the_library_says_the_same(converted):
    found = converted(SGD, "adamw", "--lr", 0.002)
    expected = match(Setting.parse(SGD), "adamw", lr=0.002)
    assert found["target"]["setting"] == str(expected.setting)
    assert found["source"]["setting"] == SGD
    assert found["notes"] == list(expected.notes)
    assert found["target"]["radius"] is None
    assert found["target"]["half_life"] == float(expected.target.half_life)


def test_the_text_has_both_settings_a_table_and_the_notes(shown):
    text = shown(SGD, "adamw", "--lr", 0.002)
    expected = match(Setting.parse(SGD), "adamw", lr=0.002)
    assert text.startswith(f"{SGD} → {expected.setting} from to angle, ° per step 0.4157 0.4157")
    assert "half-life, steps 339.9 339.9 radius not known not known" in text
    for note in expected.notes:
        assert f"- {note}" in text
    assert "lr=0.001 is usual" in shown(SGD, "adamw")


def test_muon_takes_its_shape(converted):
    wide = converted(SGD, "muon", "--shape", "64,4096", "--lr", 0.01)
    square = converted(SGD, "muon", "--shape", "64,64", "--lr", 0.01)
    expected = match(Setting.parse(SGD), "muon", shape=(64, 64), lr=0.01)
    assert square["target"]["setting"] == str(expected.setting)
    assert wide["target"]["setting"] != square["target"]["setting"]
    assert converted("muon lr=0.01 wd=0.1", "adamw", "--shape", "64,64")["source"]["radius"] > 0


# The sphere.


def test_sphere_of_sgd_is_the_library_s(converted):
    found = converted(SGD, "sphere-sgd", "--grad-norm-sq", 2)
    radius = equilibrium("sgd", lr=0.1, wd=5e-4, momentum=0.9, grad_norm_sq=2.0).radius
    alpha = np.roots([1, -(1.9 - 5e-5), 0.9]).max()
    target = found["target"]
    assert target["optimizer"] == "sphere-sgd"
    assert target["lr"] == pytest.approx(0.1 / alpha / float(radius) ** 2, rel=1e-12)
    assert target["momentum"] == pytest.approx(0.9 / alpha, rel=1e-12)
    assert target["wd"] == 0
    assert target["angle"] == pytest.approx(0.0072547784, rel=1e-8)
    assert target["angle_degrees"] == pytest.approx(math.degrees(target["angle"]))


@pytest.mark.parametrize(
    ("source", "target", "base"),
    [
        (ADAMW, "sphere-adam", "adamw"),
        ("adam lr=3e-4 wd=0.1", "sphere-adam", "adam"),
        ("lion lr=1e-4 wd=1", "sphere-lion", "lion"),
        ("muon lr=1e-2 wd=0.1", "sphere-muon", "muon"),
    ],
)
def test_sphere_of_its_own_optimizer_needs_no_match(converted, source, target, base):
    found = converted(source, target, *BLOCK)
    setting = Setting.parse(source)
    shape = {"shape": KNOWN["shape"]} if base == "muon" else {}
    expected = to_sphere(base, dim=768.0, grad_norm_sq=2.0, **shape, **setting.arguments())
    assert found["target"]["lr"] == float(expected.lr)
    assert found["target"]["angle"] == float(expected.angle)
    assert found["notes"] == list(expected.notes)
    assert found["target"]["optimizer"] == target


@pytest.mark.parametrize("target", SPHERES)
@pytest.mark.parametrize("source", [SGD, ADAMW])
def test_any_sphere_turns_as_the_source_does(converted, source, target):
    found = converted(source, target, *BLOCK)
    assert found["target"]["angle"] == pytest.approx(float(settled(source).angle), rel=1e-9)
    assert found["target"]["lr"] > 0
    without = converted(source, target)
    assert without["target"]["lr"] is None
    assert without["target"]["angle"] == pytest.approx(found["target"]["angle"], rel=0.2)
    assert any(note.startswith("`lr` needs ") for note in without["notes"])


def test_text_of_a_sphere(shown):
    assert shown(SGD, "sphere-sgd", "--grad-norm-sq", 2) == (
        "sgd lr=0.1 wd=0.0005 momentum=0.9 → sphere-sgd, weights of norm 1 lr 0.00223718 "
        "momentum 0.900452 weight decay 0 angle 0.4157° per step"
    )
    text = shown(SGD, "sphere-sgd")
    assert "lr not known" in text
    assert text.endswith("- `lr` needs `grad_norm_sq`; `angle` is known without.")
    assert "betas 0.9, 0.95" in shown(f"{ADAMW} betas=0.9,0.95", "sphere-adam", "--dim", 768)


# Without decay.


def test_points_of_the_schedule_are_right(converted):
    found = converted("sgd lr=0.1 wd=5e-2", "no-decay", "--steps", 101)
    assert [point["step"] for point in found["points"]] == [0, 25, 50, 75, 100]
    for point in found["points"]:
        assert point["lr"] == 0.1
        exact = math.log10(0.1) - (2 * point["step"] + 1) * math.log10(1 - 5e-3)
        assert point["log10_lr"] == pytest.approx(exact, rel=1e-12)
    assert found["growth"] == pytest.approx((1 - 5e-3) ** -2, rel=1e-12)
    assert found["target"] == {"optimizer": "sgd", "momentum": 0.0, "wd": 0.0}
    assert found["out"] is None


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "step"])
def test_out_has_the_whole_schedule(converted, tmp_path, schedule):
    out = tmp_path / "schedule.json"
    found = converted(
        SGD, "no-decay", "--steps", 500, "--schedule", schedule, "--warmup", 9, "--out", out
    )
    lr = lr_schedule(schedule, lr=0.1, steps=500, warmup=9)
    expected = exponential_schedule(lr, 5e-4, 0.9)
    whole = json.loads(out.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert whole == {
        "log_lr": expected.log_lr.tolist(),
        "log_scale": expected.log_scale.tolist(),
    }
    assert found["out"] == str(out)
    assert found["growth"] is None
    assert found["source"] == {
        "setting": str(Setting.parse(SGD)),
        "schedule": schedule,
        "steps": 500,
    }
    for point in found["points"]:
        assert point["lr"] == lr[point["step"]]
        assert point["log10_lr"] == expected.log_lr[point["step"]] / math.log(10)
    assert list(tmp_path.iterdir()) == [out]


def test_text_without_decay(shown, tmp_path):
    out = tmp_path / "schedule.json"
    text = shown("sgd lr=0.1 wd=5e-2", "no-decay", "--steps", 101, "--out", out)
    assert text.startswith(
        "sgd lr=0.1 wd=0.05, constant schedule → sgd momentum=0, no decay "
        "step lr with decay log₁₀ lr without 0 0.1 -0.9978"
    )
    assert f"the learning rate grows by a factor of {0.995**-2:.9g} a step." in text
    assert "leaves float32" not in text
    assert f"The whole schedule is in {out}: natural logarithms, one for each step." in text


def test_a_schedule_beyond_float64_is_shown_in_logarithms(shown, converted):
    run = ("sgd lr=0.1 wd=5e-2", "no-decay", "--steps", 200_000)
    assert "It leaves float32 on the way" in shown(*run)
    exact = -1 - 399_999 * math.log10(1 - 5e-3)
    assert exact > 308
    assert converted(*run)["points"][-1]["log10_lr"] == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_short_runs_have_fewer_points(converted, steps):
    found = converted(SGD, "no-decay", "--steps", steps)
    assert [point["step"] for point in found["points"]] == list(range(steps))
    assert (found["growth"] is None) == (steps == 1)


# Refusals.


@pytest.mark.parametrize(
    ("source", "target", "arguments", "sentence"),
    [
        (SGD, "adamww", (), f"Unknown target 'adamww'. Known: {TARGETS}. Did you mean 'adamw'?"),
        (SGD, "", (), f"Unknown target ''. Known: {TARGETS}."),
        (
            "sdg lr=0.1 wd=1e-3",
            "adamw",
            (),
            f"Unknown optimizer 'sdg'. Known: {', '.join(ALL)}. Did you mean 'sgd'?",
        ),
        ("sgd lr=0.1", "adamw", (), "The setting 'sgd lr=0.1' says no wd."),
        (
            "",
            "adamw",
            (),
            "A setting begins with the optimizer, as in 'sgd lr=0.1 wd=5e-4'; got ''.",
        ),
        ("sgd lr=x wd=1", "adamw", (), "`lr` must be a number, got 'x'."),
        ("sgd lr=-1 wd=1", "adamw", (), "`lr` must be positive and finite, got -1.0."),
        (
            "sgd lr=1 wd=1 momentum=1",
            "no-decay",
            ("--steps", 2),
            "`momentum` must lie in [0, 1), got 1.0.",
        ),
        (
            "adamw lr=1 wd=.1 momentum=.9",
            "sgd",
            (),
            "`adamw` has no argument `momentum`; it takes `betas`.",
        ),
        (SGD, "adamw", ("--steps", 5), "`--steps` goes with `--to no-decay` only."),
        (SGD, "adamw", ("--schedule", "cosine"), "`--schedule` goes with `--to no-decay` only."),
        (SGD, "sphere-sgd", ("--warmup", 5), "`--warmup` goes with `--to no-decay` only."),
        (SGD, "adamw", ("--out", "x.json"), "`--out` goes with `--to no-decay` only."),
        (SGD, "adamw", ("--dim", -1), "`dim` must be positive and finite, got -1.0."),
        (SGD, "adamw", ("--dim", "nan"), "`dim` must be positive and finite, got nan."),
        (
            SGD,
            "sphere-sgd",
            ("--grad-norm-sq", 0),
            "`grad_norm_sq` must be positive and finite, got 0.0.",
        ),
        (
            SGD,
            "muon",
            ("--shape", "768"),
            "`--shape` must be two whole numbers with a comma between them, such as 768,3072; got "
            "'768'.",
        ),
        (
            SGD,
            "muon",
            ("--shape", "768,x"),
            "`--shape` must be two whole numbers with a comma between them, such as 768,3072; got "
            "'768,x'.",
        ),
        (SGD, "muon", ("--shape", "768,0"), "`shape[1]` must be a whole number from 1 on, got 0."),
        (SGD, "no-decay", (), "`--to no-decay` needs `--steps`, the length of the run."),
        (SGD, "no-decay", ("--steps", 0), "`steps` must be a whole number from 1 on, got 0."),
        (
            SGD,
            "no-decay",
            ("--steps", 5, "--warmup", 5),
            "`warmup` must be a whole number of steps from 0 to below `steps`, got 5.",
        ),
        (
            SGD,
            "no-decay",
            ("--steps", 5, "--schedule", "cosin"),
            "Unknown schedule 'cosin'. Known: constant, cosine, linear, step. Did you mean "
            "'cosine'?",
        ),
        *(
            (
                source,
                "no-decay",
                ("--steps", 5),
                "`--to no-decay` is known for SGD with L2, with or without heavy-ball momentum; "
                f"got '{source}'.",
            )
            for source in (
                "adamw lr=0.1 wd=0.1",
                "sgd lr=0.1 wd=0.1 momentum=0.9 nesterov=true",
                "sgd lr=0.1 wd=0.1 momentum=0.9 dampening=0.5",
                "sgd lr=0.1 wd=0.1 decay=decoupled",
            )
        ),
        (
            "sgd lr=0.1 wd=0.1 momentum=0.9",
            "no-decay",
            ("--steps", 5),
            "`lr` times `wd` is 0.01 at step 0, and with momentum 0.9 it must not pass "
            "(1 - sqrt(momentum))**2 = 0.0026334: beyond it decay alone makes the weight oscillate "
            "through zero, and no schedule without decay does that.",
        ),
        (
            SGD,
            "adam",
            (),
            "The turn of `adam` is not known. Every quantity needs `dim` and `grad_norm_sq`: the "
            "decay that Adam sees depends on both.",
        ),
        (
            "adamw lr=1 wd=1.5",
            "sphere-adam",
            ("--dim", 10),
            "`lr` times `wd` must be below 1, got 1.5.",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_a_sentence(
    refused, tmp_path, monkeypatch, source, target, arguments, sentence
):
    monkeypatch.chdir(tmp_path)
    assert refused(source, target, *arguments) == (2, sentence)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "target", "arguments"),
    [
        (SGD, "adamw", ("--lr", 0)),
        (SGD, "adamw", ("--lr", -1)),
        (SGD, "adamw", ("--lr", "nan")),
        (SGD, "adam", ("--lr", 1e300, *BLOCK)),
        (SGD, "adam", ("--lr", 1e-300, *BLOCK)),
        ("sgd lr=1e200 wd=1e200", "no-decay", ("--steps", 3)),
        ("sgd lr=1 wd=1.5", "sphere-sgd", ("--grad-norm-sq", 1)),
        ("sgd lr=0.1 wd=0.1 betas=0.9,0.99", "no-decay", ("--steps", 3)),
        ("sgd lr=0.1 wd=0.1 decay=l3", "no-decay", ("--steps", 3)),
    ],
    ids=str,
)
def test_other_bad_input_is_refused_too(refused, source, target, arguments):
    code, sentence = refused(source, target, *arguments)
    assert code == 2
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("no-decay", ("--steps", 3, "--lr", 0.1)),
        ("no-decay", ("--steps", 3, "--dim", 9)),
        ("sphere-sgd", ("--lr", 0.1)),
    ],
    ids=str,
)
def test_options_that_would_do_nothing_are_refused(refused, target, arguments):
    code, sentence = refused(SGD, target, *arguments)
    assert code == 2
    assert arguments[-2] in sentence


@pytest.mark.parametrize("source", [ADAMW, "adam lr=3e-4 wd=0.1"])
def test_no_rate_is_free_where_the_sphere_has_the_update_of_the_source(refused, source):
    assert refused(source, "sphere-adam", "--lr", 0.1) == (
        2, f"`--lr` has no part in converting '{source}' to sphere-adam.",
    )  # fmt: skip


def test_words_that_are_no_numbers_are_refused_by_name(etaeff):
    for arguments in (("--lr", "x"), ("--dim", "x"), ("--steps", "1.5"), ("--warmup", "x")):
        done = etaeff("convert", "--from", SGD, "--to", "adamw", *arguments)
        assert (done.code, done.out) == (2, "")
        assert f"Invalid value for '{arguments[0]}'" in done.err
    for missing in ("--from", "--to"):
        given = {"--from": SGD, "--to": "adamw"}
        given.pop(missing)
        done = etaeff("convert", *sum(given.items(), ()))
        assert (done.code, done.out) == (2, "")
        assert f"Missing option '{missing}'" in done.err


def test_a_place_that_cannot_be_written_is_refused(refused, tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "x.json", tmp_path):
        code, sentence = refused(SGD, "no-decay", "--steps", 3, "--out", out)
        assert code in (1, 2)
        assert sentence.endswith(".")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]


def test_help_names_the_targets(etaeff):
    done = etaeff("convert", "--help")
    assert (done.code, done.err) == (0, "")
    for word in ("--to OPTIMISER", "sphere-sgd", "no-decay", "--from", "--json", "--out"):
        assert word in done.out


# What it loads.


PROBE = """
import sys
from etaeff.cli import main
try:
    main(sys.argv[1:])
finally:
    heavy = "torch", "scipy", "polars", "plotly", "matplotlib", "sympy", "jinja2"
    print([name for name in heavy if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", SGD, "--to", "adamw"),
        ("--from", SGD, "--to", "sphere-sgd"),
        ("--from", SGD, "--to", "no-decay", "--steps", "100", "--out", "x.json"),
    ],
    ids=["match", "sphere", "no-decay"],
)
def test_no_torch_is_loaded(python, tmp_path, arguments):
    done = subprocess.run(
        [*python, "-c", PROBE, "convert", *arguments],
        check=True, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stderr == "[]\n"

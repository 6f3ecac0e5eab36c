import json
import math
import re
import subprocess

import numpy as np
import pytest

from etaeff._words import WIDTH, paragraph, typed
from etaeff.cli._recipe import MOST_STEPS
from etaeff.cli._tables import aligned, as_json
from etaeff.theory import PUBLISHED_SETTINGS, equilibrium, lr_schedule, trajectory
from etaeff.theory.settings import OPTIMIZERS

SGD = ("--optimizer", "sgd", "--lr", "0.1", "--wd", "5e-4", "--momentum", "0.9")
ADAMW = ("--optimizer", "adamw", "--lr", "3e-4", "--wd", "0.1")
KEYS = [
    "optimizer", "lr", "wd", "decay", "arguments", "published", "angle", "angle_degrees",
    "cosine", "half_life", "half_life_epochs", "settled", "settled_epochs", "memory",
    "memory_epochs", "radius", "effective_lr", "invariant", "regime", "meaning", "notes", "run",
    "warnings", "plot",
]  # fmt: skip


@pytest.fixture
def predicted(etaeff):
    """The JSON object that the command prints."""

    def run(*arguments):
        done = etaeff("predict", *arguments, "--json")
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out, parse_constant=pytest.fail)  # NaN and Infinity are no JSON

    return run


@pytest.fixture
def shown(etaeff):
    """Output and warnings as running text, without line breaks."""

    def run(*arguments):
        done = etaeff("predict", *arguments)
        assert done.code == 0
        return " ".join(done.out.split()), " ".join(done.err.split())

    return run


# Numbers against closed forms


def test_heavy_ball_turns_by_the_closed_form(predicted):
    found = predicted(*SGD, "--grad-norm-sq", "2")
    x, mu = 0.1 * 5e-4, 0.9
    cosine = 1 - x / (1 + mu)
    assert found["cosine"] == pytest.approx(cosine, abs=1e-12)
    assert found["angle"] == pytest.approx(math.sqrt(2 * x / (1 + mu)), rel=1e-4)
    assert found["angle_degrees"] == pytest.approx(found["angle"] * 180 / math.pi)
    assert found["radius"] ** 4 == pytest.approx(
        0.1 * 2 / (5e-4 * (1 - mu) * (2 - x / (1 + mu))), rel=1e-9
    )
    assert found["effective_lr"] == pytest.approx(0.1 / found["radius"] ** 2)
    assert found["half_life"] == pytest.approx(math.log(2) * (1 - mu) / (4 * x), rel=0.03)
    assert found["settled"] == pytest.approx(found["half_life"] * math.log2(20))
    assert found["memory"] == pytest.approx(1 / x)
    assert found["invariant"] == {"name": "ηλ", "value": pytest.approx(5e-5)}
    assert (found["regime"], found["decay"]) == ("slow", "l2")
    assert found["arguments"] == {"momentum": 0.9, "grad_norm_sq": 2.0}


def slow_rate(x, b):
    """Of ρ' = −4xρ − 2xν, ν' = −bρ − bν: ‖w‖² under AdamW, and a second moment b = 1 − β₂."""
    total = 4 * x + b
    return 4 * x * b / (total + math.sqrt(total**2 - 8 * x * b))


def test_adamw_turns_by_the_closed_form(predicted):
    found = predicted(*ADAMW, "--betas", "0.8,0.9999", "--dim", "768")
    assert found["angle"] == pytest.approx(math.sqrt(2 * 3e-5 * 0.2 / 1.8), rel=1e-3)
    assert found["radius"] == pytest.approx(math.sqrt(3e-4 * 768 / 0.2), rel=1e-3)
    assert found["effective_lr"] == pytest.approx(3e-4 / found["radius"])
    assert found["half_life"] == pytest.approx(math.log(2) / slow_rate(3e-5, 1e-4), rel=1e-3)
    assert (found["decay"], found["arguments"]["betas"]) == ("decoupled", [0.8, 0.9999])


def test_adam_with_l2_has_another_invariant_and_needs_both_sizes(predicted):
    adam = ("--optimizer", "adam", "--lr", "1e-3", "--wd", "1e-4")
    found = predicted(*adam)
    assert found["invariant"] == {"name": "η²λ", "value": pytest.approx(1e-10)}
    for key in ("angle", "angle_degrees", "half_life", "settled", "radius", "regime"):
        assert found[key] is None
    assert found["memory"] == pytest.approx(1e7)
    assert found["notes"] == [
        "Every quantity needs `dim` and `grad_norm_sq`: the decay that Adam sees depends on both."
    ]
    found = predicted(*adam, "--dim", "100", "--grad-norm-sq", "0.1")
    assert found["radius"] ** 3 == pytest.approx(1e-3 * math.sqrt(10) / 2e-4, rel=1e-3)
    turn = (2 * 1e-10 * 100 / math.sqrt(0.1)) ** (1 / 3) / math.sqrt(19)
    assert found["angle"] == pytest.approx(turn, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "ratio"),
    [
        (("--nesterov",), math.sqrt(1 + 1.8 - 2 * 0.9**3)),
        (("--no-nesterov",), 1.0),
        (("--decay", "decoupled"), math.sqrt(0.1)),
        (("--dampening", "0.5"), math.sqrt(0.5)),
    ],
)
def test_options_of_sgd_reach_the_theory(predicted, arguments, ratio):
    plain = predicted(*SGD)["angle"]
    assert predicted(*SGD, *arguments)["angle"] / plain == pytest.approx(ratio, rel=1e-3)


def test_options_of_the_others_reach_the_theory(predicted):
    rmsprop = ("--optimizer", "rmsprop", "--lr", "1e-3", "--wd", "0.1", "--decay", "decoupled")
    some, other = (
        predicted(*rmsprop, "--dim", "9", "--alpha", alpha)["radius"] for alpha in ("0.9", "0.999")
    )
    assert some != pytest.approx(other, rel=1e-3)
    muon = ("--optimizer", "muon", "--lr", "1e-3", "--wd", "0.1", "--shape", "64,1024")
    plain = predicted(*muon)["radius"]
    adjusted = predicted(*muon, "--adjust-lr-fn", "match_rms_adamw")["radius"]
    assert adjusted / plain == pytest.approx(0.2 * math.sqrt(1024))


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=lambda row: row.name)
def test_every_optimizer_of_the_registry_can_be_predicted(predicted, shown, optimizer):
    arguments = ("--optimizer", optimizer.name, "--lr", "1e-3", "--wd", "0.01")
    seen = predicted(*arguments)
    settled = equilibrium(optimizer.name, lr=1e-3, wd=0.01)
    assert seen["angle"] == (None if settled.angle is None else float(settled.angle))
    assert seen["decay"] == optimizer.usual_decay
    assert shown(*arguments)[0].startswith(f"{optimizer.title}, ")


def test_epochs_are_steps_over_those_of_an_epoch(predicted):
    found = predicted(*SGD, "--batch", "128", "--data", "50000")
    for key in ("half_life", "settled", "memory"):
        assert found[f"{key}_epochs"] == pytest.approx(found[key] * 128 / 50000)
        assert predicted(*SGD)[f"{key}_epochs"] is None


# The object and the text


def test_json_has_all_keys_always(predicted):
    for arguments in (SGD, (*ADAMW, "--steps", "10"), ("--published", "resnet50-imagenet-8k")):
        assert list(predicted(*arguments)) == KEYS


def test_help_documents_every_key(etaeff, predicted):
    text = etaeff("predict", "--help").out
    found = predicted(*SGD, "--steps", "10")
    keys = [*found, *found["run"], *found["run"]["points"][0], *found["invariant"]]
    words = set(re.findall(r"\w+", text))
    assert {key.removesuffix("_epochs") for key in keys} - words == set()
    assert max(map(len, text.splitlines())) <= 80


def test_text_has_the_same_numbers(shown, predicted):
    text, warnings = shown(*SGD, "--grad-norm-sq", "2", "--batch", "128", "--data", "50000")
    assert warnings == ""
    assert text.startswith(
        "SGD, L2 in the gradient: lr 0.1, wd 0.0005, momentum 0.9, grad-norm-sq 2 "
        "angle 0.4157° 0.007255 rad per step half-life 339.9 steps 0.8701 epochs "
    )
    for part in (
        "settles in 1,469 steps 3.76 epochs", "memory 20,000 steps 51.2 epochs", "radius 6.687",
        "effective lr 0.002236", "invariant ηλ = 5e-05", "regime slow: less than",
    ):  # fmt: skip
        assert part in text


def test_text_says_what_wd_does(shown):
    text, _ = shown(*SGD)
    assert (
        "λ sets how far the weight turns per step: with ηλ = 5e-05 it turns 0.4157° a step at "
        "equilibrium, whatever the size of its gradients. η/λ sets its radius, which the network "
        "does not see: λ regularises nothing as long as a normalisation follows the weight."
    ) in text
    assert "- `radius` and `effective_lr` need `grad_norm_sq`." in text
    adam = ("--optimizer", "adam", "--lr", "1e-3", "--wd", "1e-4")
    text, _ = shown(*adam)
    assert "λ sets how far the weight turns per step, through η²λ," in text
    assert "eight times η²λ turns it twice as far." in text
    assert "angle not known half-life not known" in text
    text, _ = shown(*adam, "--dim", "100", "--grad-norm-sq", "0.1")
    assert "with 1e-10 it turns 0.05237° a step at equilibrium, for gradients and a" in text
    text, _ = shown("--optimizer", "sgd", "--lr", "1", "--wd", "0.9")
    assert "regime erratic: more than 60° a step" in text
    assert text.count("ηλ is too large to train with.") == 1
    text, _ = shown("--optimizer", "sgd", "--lr", "1", "--wd", "0.1")
    assert "regime fast: " in text


def test_lines_are_short(etaeff):
    done = etaeff("predict", *ADAMW, "--steps", "1000", "--schedule", "cosine", "--warmup", "100")
    assert max(map(len, (done.out + done.err).splitlines())) <= WIDTH


# The run


def test_a_run_too_short_to_settle_is_warned_of(etaeff, predicted):
    done = etaeff("predict", *SGD, "--steps", "1000")
    warning = (
        "Training ends before equilibrium: settling takes 1,469 steps at the peak learning rate, "
        "and the run has 1,000 (68 %), 469 too few."
    )
    assert " ".join(done.err.split()) == f"Warning: {warning}"
    assert "Training ends" not in done.out
    assert predicted(*SGD, "--steps", "1000")["warnings"] == [warning]
    assert predicted(*SGD, "--steps", "1468")["warnings"] != []
    assert predicted(*SGD, "--steps", "1469")["warnings"] == []
    assert predicted(*SGD)["warnings"] == []


def test_points_are_those_of_the_trajectory(predicted):
    found = predicted(
        *SGD, "--steps", "2000", "--schedule", "cosine", "--warmup", "100", "--final", "0.01",
        "--radius", "3", "--grad-norm-sq", "2",
    )  # fmt: skip
    lr = lr_schedule("cosine", lr=0.1, steps=2000, warmup=100, final=0.01)
    path = trajectory("sgd", lr=lr, wd=5e-4, radius=3.0, momentum=0.9, grad_norm_sq=2.0)
    run = found["run"]
    named = [(point["at"], point["step"]) for point in run["points"]]
    assert named == [
        ("start", 0), ("warm-up ends", 100), ("25 %", 500), ("50 %", 1000), ("75 %", 1500),
        ("end", 1999),
    ]  # fmt: skip
    for point in run["points"]:
        step = point["step"]
        assert point["lr"] == lr[step]
        assert point["radius"] == path.radius[step]
        assert point["angle"] == path.angle[step]
        assert point["angle_degrees"] == pytest.approx(math.degrees(path.angle[step]))
        assert point["effective_lr"] == path.effective_lr[step]
        settled = math.sqrt(2 * lr[step] * 5e-4 / 1.9)
        assert point["angle_over_equilibrium"] == pytest.approx(path.angle[step] / settled, 1e-3)
    assert (run["start"], run["relative"]) == ("given", False)
    assert (run["steps"], run["schedule"], run["warmup"], run["final"]) == (
        2000, "cosine", 100, 0.01,
    )  # fmt: skip


def test_without_a_radius_a_run_starts_at_equilibrium_and_says_so(predicted, shown):
    arguments = (*SGD, "--steps", "2000", "--grad-norm-sq", "2")
    found = predicted(*arguments)
    assert (found["run"]["start"], found["run"]["relative"]) == ("equilibrium", False)
    for point in found["run"]["points"]:
        assert point["radius"] == pytest.approx(found["radius"], rel=2e-3)
    text, _ = shown(*arguments)
    assert "2,000 steps, constant schedule, from the equilibrium of the peak lr." in text
    assert "from --radius." in shown(*arguments, "--radius", "3")[0]


@pytest.mark.parametrize(
    ("recipe", "sizes"), [(SGD, ("--grad-norm-sq", "7")), (ADAMW, ("--dim", "768"))]
)
def test_without_sizes_a_run_is_told_in_shares(predicted, shown, recipe, sizes):
    run = (*recipe, "--steps", "3000", "--schedule", "linear")
    shares, whole = predicted(*run)["run"], predicted(*run, *sizes)
    assert shares["relative"]
    for share, point in zip(shares["points"], whole["run"]["points"], strict=True):
        assert share["angle"] == pytest.approx(point["angle"], rel=1e-9)
        for key in ("radius", "effective_lr"):
            assert share[key] == pytest.approx(point[key] / whole[key], rel=1e-9)
    assert "r / r* °/step η_eff / η_eff* ° / °*" in shown(*run)[0]


def test_a_schedule_that_outruns_the_weight_is_named(predicted):
    found = predicted(*SGD, "--steps", "20000", "--schedule", "cosine")["run"]
    assert not found["at_end"]
    lr = lr_schedule("cosine", lr=0.1, steps=20000)
    path = trajectory("sgd", lr=lr, wd=5e-4, radius=3.344, momentum=0.9, grad_norm_sq=1 / 8)
    near = np.flatnonzero(abs(path.angle / np.sqrt(2 * lr * 5e-4 / 1.9) - 1) < 0.1)[-1]
    assert found["last_near"] == pytest.approx(near, abs=30)
    assert f"last within 10 % of it at about step {found['last_near']:,} (" in found["summary"]
    assert found["summary"].startswith("The run does not end at equilibrium: its last step turns")


def test_a_run_that_settles_and_one_that_never_does(predicted):
    sizes = ("--radius", "1", "--grad-norm-sq", "1", "--steps")
    found = predicted(*SGD, *sizes, "5000")["run"]
    assert (found["at_end"], found["last_near"]) == (True, 4999)
    assert found["summary"].startswith("The run ends at equilibrium: its last step turns 1.00 time")
    found = predicted(*SGD, *sizes, "10")["run"]
    assert (found["at_end"], found["last_near"]) == (False, None)
    assert found["summary"].endswith("It was never within 10 % of it.")


def test_a_run_that_cannot_be_followed_says_what_it_needs(predicted):
    for name, missing in (("adam", "`dim` and `grad_norm_sq`"), ("muon", "`shape`")):
        found = predicted("--optimizer", name, "--lr", "1e-3", "--wd", "0.1", "--steps", "10")
        assert found["run"]["points"] is None
        assert found["notes"][-1] == f"The run is not followed: that needs {missing}."


# Published recipes


def test_a_published_recipe_is_taken_whole(predicted, shown):
    found = predicted("--published", "resnet50-imagenet-8k")
    assert (found["optimizer"], found["lr"], found["wd"]) == ("sgd", 3.2, 1e-4)
    assert found["arguments"] == {"momentum": 0.9, "nesterov": True}
    assert found["published"]["name"] == "resnet50-imagenet-8k"
    assert found["memory_epochs"] == pytest.approx(8192 / (3.2e-4 * 1_281_167))
    assert (found["run"]["steps"], found["run"]["schedule"]) == (14040, "step")
    text, _ = shown("--published", "resnet50-imagenet-8k")
    assert text.startswith("ResNet-50 on ImageNet-1k SGD, L2 in the gradient: lr 3.2, wd 0.0001")
    assert "Source: Goyal et al., arXiv:1706.02677" in text
    assert "with no warm-up; the recipe's own may differ in this." in text


def test_what_is_typed_overrides_the_recipe(predicted):
    found = predicted(
        "--published", "resnet50-imagenet-8k", "--lr", "1.6", "--momentum", "0", "--no-nesterov",
        "--steps", "100", "--schedule", "constant",
    )  # fmt: skip
    assert (found["lr"], found["wd"]) == (1.6, 1e-4)
    assert found["angle"] == pytest.approx(math.sqrt(2 * 1.6e-4), rel=1e-3)
    assert (found["run"]["steps"], found["run"]["schedule"]) == (100, "constant")
    found = predicted("--published", "resnet50-imagenet-8k", "--optimizer", "adamw", "--lr", "1e-3")
    assert (found["optimizer"], found["wd"], found["arguments"]) == ("adamw", 1e-4, {})


def test_a_recipe_without_epochs_takes_those_that_are_typed(predicted):
    assert predicted("--published", "gpt3-175b", "--steps", "10")["memory_epochs"] is None
    found = predicted("--published", "gpt3-175b", "--steps", "10", "--data", "300e9")
    assert found["memory_epochs"] == pytest.approx(3_200_000 / (6e-6 * 300e9))


def test_muons_recipe_has_the_rate_that_its_lr_is_for(predicted):
    found = predicted("--published", "moonlight-16b", "--steps", "10")
    assert found["arguments"]["adjust_lr_fn"] == "match_rms_adamw"


@pytest.mark.parametrize("setting", PUBLISHED_SETTINGS, ids=lambda setting: setting.name)
def test_every_published_recipe_can_be_predicted(etaeff, setting):
    done = etaeff("predict", "--published", setting.name, "--steps", "100")
    assert done.code == 0
    assert setting.model in done.out


def test_the_list_names_all_and_what_they_imply(etaeff):
    done = etaeff("predict", "--published", "list")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert len({line.index("×") for line in lines[:1]}) == 1
    table = {line.split()[0]: line.split() for line in lines[1 : 1 + len(PUBLISHED_SETTINGS)]}
    assert list(table) == [setting.name for setting in PUBLISHED_SETTINGS]
    assert table["gpt3-175b"][1:] == [
        "AdamW", "6e-05", "0.1", "0.0453", "57,769", "93,750", "0.375",
    ]  # fmt: skip
    found = json.loads(etaeff("predict", "--published", "list", "--json").out)["published"]
    (gpt,) = [row for row in found if row["name"] == "gpt3-175b"]
    assert gpt["angle"] == pytest.approx(math.sqrt(2 * 6e-6 * 0.1 / 1.9), rel=0.03)
    rate = slow_rate(6e-6, 0.05)
    assert gpt["half_life"] == pytest.approx(math.log(2) / rate, rel=1e-3)
    assert gpt["times_settled"] == pytest.approx(93_750 * rate / math.log(20), rel=1e-3)


# The plot


@pytest.mark.parametrize(
    ("name", "magic"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.pdf", b"%PDF-")]
)
def test_a_plot_is_written(etaeff, tmp_path, name, magic):
    path = tmp_path / name
    run = ("--steps", "3000", "--schedule", "cosine", "--plot", path)
    done = etaeff("predict", *ADAMW, *run)
    assert (done.code, done.out.splitlines()[-1]) == (0, f"Plot: {path}")
    content = path.read_bytes()
    assert content.startswith(magic)
    assert len(content) > 10_000
    found = json.loads(etaeff("predict", *ADAMW, *run, "--json").out)
    assert found["plot"] == str(path)
    assert path.read_bytes() == content


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("matplotlib", "polars"):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
from etaeff.cli import main
main({arguments!r})
"""


def test_a_plot_without_the_extra_names_what_to_type(python, tmp_path):
    arguments = ["predict", *ADAMW, "--steps", "10"]
    plot = [*arguments, "--plot", str(tmp_path / "a.png")]
    with_plot, without = (
        subprocess.run(
            [*python, "-c", BLOCKED.format(arguments=each)],
            capture_output=True, text=True, check=False,
        )
        for each in (plot, arguments)
    )  # fmt: skip
    assert (with_plot.returncode, with_plot.stdout) == (1, "")
    assert re.fullmatch(
        r"etaeff: This needs '\w+', which is not installed\. "
        r"Type: pip install 'etaeff\[report\]'\n",
        with_plot.stderr,
    )
    assert without.returncode == 0
    assert list(tmp_path.iterdir()) == []


# Refusals, each in one sentence


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "`--optimizer` is needed, unless `--published` names a recipe that has it."),
        (["--optimizer", "sgd", "--lr", "0.1"], "`--wd` is needed, unless"),
        (["--optimizer", "sgd", "--wd", "0.1"], "`--lr` is needed, unless"),
        ([*SGD, "--lr", "0"], "`lr` must be positive and finite, got 0.0."),
        ([*SGD, "--lr", "nan"], "`lr` must be positive and finite, got nan."),
        ([*SGD, "--wd", "0"], "`wd` must be positive and finite, got 0.0. Without decay the norm"),
        ([*SGD, "--lr", "9e3"], "`lr` times `wd` must be below 2, got 4.5:"),
        (
            ["--optimizer", "adm", "--lr", "1", "--wd", "1"],
            "Unknown optimizer 'adm'. Known: sgd, rmsprop, adam, adamw, lion, muon, normalized, "
            "nadam. Did you mean 'adam'?",
        ),
        (
            [*ADAMW, "--betas", "0.9"],
            "`--betas` must be two numbers with a comma between them, such as 0.9,0.95; got '0.9'.",
        ),
        ([*ADAMW, "--betas", "0.9,b"], "`--betas` must be two numbers"),
        ([*ADAMW, "--betas", "0.9,0.9,0.9"], "`--betas` must be two numbers"),
        ([*ADAMW, "--betas", "0.9,1"], "`betas[1]` must lie in [0, 1), got 1.0."),
        ([*ADAMW, "--shape", "3.5,2"], "`--shape` must be two whole numbers"),
        ([*ADAMW, "--momentum", "0.9"], "`adamw` has no argument `momentum`; it takes `betas`."),
        ([*SGD, "--betas", "0.9,0.99"], "`sgd` has no argument `betas`;"),
        ([*SGD, "--decay", "L2"], '`decay` must be "l2" or "decoupled", got \'L2\'.'),
        ([*ADAMW, "--decay", "l2"], '`adamw` is known with decay "decoupled" only:'),
        ([*SGD, "--batch", "9"], "`batch` and `data` must be given together:"),
        ([*SGD, "--schedule", "cosine"], "`--schedule cosine` needs `--steps`, the length of the"),
        ([*SGD, "--schedule", "cosin", "--steps", "9"], "Unknown schedule 'cosin'."),
        ([*SGD, "--warmup", "9"], "`--warmup` needs `--steps`: the warm-up is part of a run."),
        ([*SGD, "--warmup", "9", "--steps", "9"], "`warmup` must be a whole number of steps"),
        ([*SGD, "--radius", "9"], "`--radius` needs `--steps`: it is where a run starts."),
        ([*SGD, "--radius", "9", "--steps", "9"], "`grad_norm_sq` is needed for the run of `sgd`."),
        ([*SGD, "--radius", "0", "--steps", "9"], "`radius` must be positive and finite, got 0.0."),
        ([*SGD, "--steps", "0"], "`steps` must be a whole number from 1 on, got 0."),
        ([*SGD, "--steps", str(MOST_STEPS + 1)], "`--steps` must be at most 10,000,000, got"),
        ([*SGD, "--steps", "9", "--final", "0.1"], "`--final` is what cosine and linear schedules"),
        ([*SGD, "--plot", "a.png"], "`--plot` draws a run and needs `--steps`, its length."),
        (
            [*SGD, "--steps", "9", "--plot", "a.jpg"],
            "A figure's name must end in .png, .svg or .pdf, got 'a.jpg'.",
        ),
        ([*SGD, "--steps", "9", "--plot", "no/a.png"], "The figure cannot be written to 'no/"),
        ([*SGD, "--steps", "9", "--plot", "a file/a.png"], "The figure cannot be written to 'a f"),
        (
            ["--optimizer", "muon", "--lr", "1", "--wd", "1", "--steps", "9", "--plot", "a.png"],
            "`--plot` has no run to draw. The run is not followed: that needs `shape`.",
        ),
        (["--published", "resnet"], "Unknown published setting 'resnet'. Known: resnet50-imagenet"),
        (["--published", "list", "--steps", "9"], "`--published list` takes no other option"),
        (["--published", "list", "--plot", "a.png"], "`--published list` takes no other option"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_one_sentence_and_nothing_is_written(
    etaeff, monkeypatch, tmp_path, arguments, sentence
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").write_text("mine")
    for more in ([], ["--json"]):
        done = etaeff("predict", *arguments, *more)
        assert done.code == 2
        assert done.sentence.startswith(sentence)
        assert done.sentence.endswith((".", "?"))
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_what_is_no_number_is_wrong_usage(etaeff):
    done = etaeff("predict", *SGD, "--lr", "x")
    assert (done.code, done.out) == (2, "")
    assert "Invalid value for '--lr': 'x' is not a valid float." in done.err


# Starting


def loaded(python, arguments, modules):
    """Which of these modules a run of the command loads."""
    code = f"""
import sys
from etaeff.cli import main
try:
    main({list(arguments)!r})
except SystemExit as ended:
    print()
    print(ended.code, *sys.modules.keys() & set({modules!r}))
"""
    done = subprocess.run([*python, "-c", code], capture_output=True, text=True, check=True)
    ended, *names = done.stdout.splitlines()[-1].split()
    assert ended == "0"
    return names


def test_help_loads_nothing_that_is_slow(python):
    heavy = ("torch", "numpy", "polars", "matplotlib", "rich")
    assert loaded(python, ["predict", "--help"], heavy) == []


def test_a_prediction_loads_neither_torch_nor_plots(python):
    heavy = ("torch", "polars", "matplotlib", "scipy", "rich", "sympy")
    arguments = ["predict", *SGD, "--steps", "1000", "--schedule", "cosine"]
    assert loaded(python, arguments, heavy) == []


def test_a_plot_loads_no_torch(python, tmp_path):
    arguments = ["predict", *SGD, "--steps", "9", "--plot", str(tmp_path / "a.png")]
    assert loaded(python, arguments, ("torch",)) == []


# Its parts


def test_columns_of_a_table():
    assert aligned([["a", "1", "long text"], ["bcd", "10"], ["e", "2", "x"]], right=[1]) == (
        "a     1  long text\nbcd  10\ne     2  x"
    )
    assert aligned([["a", "a long last cell"], ["b", "c", "d"]]).splitlines()[1] == "b  c  d"
    assert aligned([]) == ""


def test_numbers_are_short():
    assert [typed(value) for value in (999.96, 1000.0, 1234567.0, 1e12, 0.0, -2500.0)] == [
        "1000", "1,000", "1,234,567", "1e+12", "0", "-2,500",
    ]  # fmt: skip


def test_a_paragraph_keeps_words_whole():
    text = paragraph("word " * 50 + "x" * 200, bullet="- ")
    first, *rest = text.splitlines()
    assert first.startswith("- word")
    assert all(line.startswith("  ") for line in rest)
    assert "x" * 200 in text


def test_json_has_plain_numbers():
    values = {"a": np.float64(0.5), "b": (np.int64(3), math.nan), "c": {"d": np.bool_(True)}}
    assert json.loads(as_json(values)) == {"a": 0.5, "b": [3, None], "c": {"d": True}}
    assert "λ" in as_json({"name": "λ"})

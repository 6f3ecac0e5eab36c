import json
import os
import subprocess
import sys

import pytest
import torch

from etaeff import errors
from etaeff.symmetry import Audit

MODELS = '''
import sys
from dataclasses import dataclass

import torch
from torch import nn

import beside  # as a file that is run would find it

print("chatter of the model")


class Net(nn.Module):
    """A network with Batch Normalization."""

    def __init__(self, width=4):
        super().__init__()
        self.conv = nn.Linear(3, width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))))


class Words(nn.Module):
    def __init__(self, rows=9):
        super().__init__()
        self.embedding = nn.Embedding(rows, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, ids, scale=None):
        x = self.embedding(ids)
        return self.head(x if scale is None else x * scale)


class Both(Net):
    def forward(self, x):
        hidden = self.conv(x)
        return {"logits": self.head(self.norm(hidden)), "hidden": hidden}


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x):
        return torch.special.bessel_j0(self.linear(x))


@dataclass
class Sizes:
    width: int = 4


made = Net()
five = 5


class Zoo:
    small = Net


def wide():
    return Net(Sizes(8).width)


def half():
    return Net().to(torch.bfloat16)


def raising():
    raise RuntimeError("No luck.\\nA long explanation.")


def leaving():
    sys.exit("usage: train.py")


def refusing():
    from etaeff.errors import UsageError

    raise UsageError("Not today.")


def number():
    return 3


def resting():
    return Net().eval()


def nothing():
    pass


def lazy():
    return nn.LazyLinear(3)
'''
WARNING = "Auditing imports and runs the code of '{}'.\n"
TINY = {"n_layer": 1, "n_embd": 16, "n_head": 2, "vocab_size": 32, "n_positions": 8}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with models in it, and modules and search path as before afterwards."""
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "beside.py").touch()
    (tmp_path / "broken.py").write_text("x = [")
    (tmp_path / "needy.py").write_text("import no_such_thing")
    package = tmp_path / "nets"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "small.py").write_text("from models import Net\n")
    before = set(sys.modules)
    path = list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert sys.path == path
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("models", "beside", "broken", "needy", "nets", "audited_models"):
            del sys.modules[name]


@pytest.fixture
def found(etaeff):
    """The JSON object that the command prints."""

    def run(target, *arguments, code=0):
        done = etaeff("audit", target, *arguments, "--json")
        assert done.code == code, done.err
        assert done.err.startswith(WARNING.format(target))
        return json.loads(done.out, parse_constant=pytest.fail)  # NaN and Infinity are no JSON

    return run


@pytest.fixture
def refused(etaeff):
    """Exit code and sentence of a refusal after the model's code may have run."""

    def run(target, *arguments):
        done = etaeff("audit", target, *arguments)
        assert done.out == ""
        assert "Traceback" not in done.err
        first, *_, last = done.err.splitlines()
        assert f"{first}\n" == WARNING.format(target)
        assert last.startswith("etaeff: ")
        assert done.err.count("etaeff: ") == 1
        return done.code, last.removeprefix("etaeff: ")

    return run


# What is printed.


def test_the_text_is_the_library_s(etaeff):
    done = etaeff("audit", "models.py:Net", "--input", "8,3")
    assert done.code == 0
    assert done.err == WARNING.format("models.py:Net") + "chatter of the model\n"
    assert done.out.startswith("Net: 5 parameters with 30 entries")
    assert (
        "conv.weight\n      each of 4 slices along axis 0: it feeds BatchNorm1d `norm`." in done.out
    )
    assert max(map(len, done.out.splitlines())) <= 88


def test_json_is_the_audit(found):
    values = found("models.py:Net", "--input", "8,3")
    audit = Audit.from_dict(values)
    assert audit.parameters["conv.weight"].group == "scale-invariant"
    assert (values["failed"], values["html"]) == ([], None)
    assert [block["names"] for block in values["blocks"]] == [["conv.weight"]]
    assert all(s["proved"] for s in values["symmetries"])


def test_the_same_seed_gives_the_same_numbers(found):
    first, again = (found("models.py:Net", "--input", "8,3") for _ in range(2))
    other = found("models.py:Net", "--input", "8,3", "--seed", 1)
    assert first == again
    assert other != first
    assert other["parameters"] == first["parameters"]


def test_only_the_proof(found):
    values = found("models.py:Net", "--input", "8,3", "--proof-only")
    assert {s["defect"] for s in values["symmetries"]} == {None}


def test_eval_mode_has_fixed_statistics(found):
    values = found("models.py:Net", "--input", "8,3", "--eval")
    assert values["parameters"]["conv.weight"]["group"] == "other"


@pytest.mark.parametrize("name", ["logits", "0", "-2"])
def test_outputs_can_be_chosen(found, name):
    both = found("models.py:Both", "--input", "8,3")
    assert both["outputs"] == ["logits", "hidden"]
    assert both["parameters"]["conv.weight"]["group"] == "other"
    one = found("models.py:Both", "--input", "8,3", "--output", name)
    assert one["outputs"] == ["logits"]
    assert one["parameters"]["conv.weight"]["group"] == "scale-invariant"


def test_an_unknown_output_is_refused(refused):
    code, sentence = refused("models.py:Both", "--input", "8,3", "--output", "logit")
    assert code == 2
    assert sentence.startswith("Unknown output 'logit'. Known: logits, hidden.")


def test_modes_are_those_of_the_factory_or_as_typed(found):
    target = "models.py:resting"
    assert found(target, "--input", "8,3")["mode"] == "eval"
    assert found(target, "--input", "8,3", "--train")["mode"] == "train"
    assert found("models.py:Net", "--input", "8,3")["mode"] == "train"


@pytest.mark.parametrize(
    "typed",
    [
        ("--optimizer", "sgd", "--lr", "0.1", "--wd", "5e-4"),
        ("--optimizer", "sgd lr=0.1 wd=5e-4"),
        ("--optimizer", "sgd wd=5e-4", "--lr", "0.1"),
    ],
)
def test_an_optimizer_is_forecast(found, typed):
    (one,) = found("models.py:Net", "--input", "8,3", *typed)["forecasts"]
    assert one["setting"] == "sgd lr=0.1 wd=0.0005"
    assert one["names"] == ["conv.weight"]
    assert one["angle"] == pytest.approx(0.01, rel=1e-3)  # √(2ηλ), for no momentum
    assert "rad (" in one["sentence"]


def test_what_to_do_next_is_told(etaeff):
    done = etaeff("audit", "models.py:Net", "--input", "8,3", "--optimizer", "sgd lr=0.1 wd=5e-4")
    assert "\nWhat to do next, with audit = etaeff.audit(model, args)\n" in done.out
    assert "    optimizer = torch.optim.SGD(groups, lr=0.1)\n" in done.out


def test_discovery(found):
    notes = found("models.py:Net", "--input", "8,3", "--discover")["notes"]
    assert any("the proof missed none" in note for note in notes)


def test_the_page(etaeff, folder):
    done = etaeff("audit", "models.py:Net", "--input", "8,3", "--html", "net.html")
    assert done.out.endswith("\nPage: net.html\n")
    text = (folder / "net.html").read_text(encoding="utf-8")
    assert "<title>Net: scaling symmetries</title>" in text
    assert "norm.<wbr>weight" in text


def test_the_page_is_named_in_json(found, folder):
    assert found("models.py:Net", "--input", "8,3", "--html", "net.html")["html"] == "net.html"
    assert (folder / "net.html").is_file()


# The target.


@pytest.mark.parametrize(
    "target",
    ["models.py:Net", "models:Net", "nets.small:Net", "models.py:made", "models.py:Zoo.small"],
)
def test_a_model_is_found(found, target):
    assert found(target, "--input", "8,3")["parameters"]["conv.weight"]["shape"] == [4, 3]


def test_a_factory_is_called(found):
    assert found("models.py:wide", "--input", "8,3")["parameters"]["conv.weight"]["shape"] == [8, 3]


def test_a_file_in_another_folder_finds_what_lies_beside_it(found, folder, monkeypatch):
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert found("../models.py:Net", "--input", "8,3")["rank"] > 0


def test_a_file_beside_the_model_stands_in_for_no_other_module(folder):
    (folder / "networkx.py").write_text("raise RuntimeError('not me')")  # which export imports
    (folder / "html.py").write_text("raise RuntimeError('not me')")  # which networkx imports
    code = """
from etaeff.cli import main
main(["audit", "models.py:Net", "--input", "8,3", "--json"])
"""
    # -P, as the installed command has it: Python itself does not look in the working folder.
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["notes"] == []


@pytest.mark.parametrize(
    ("target", "code", "sentence"),
    [
        ("nope.py:f", 2, "There is no file 'nope.py'."),
        ("nope.mod:f", 2, "There is no module 'nope.mod' in this folder or among the installed"),
        ("nets.nope:f", 2, "There is no module 'nets.nope' in this folder or among the installed"),
        ("no-pe:f", 2, "'no-pe' is no name of a module, and no file that ends in '.py'."),
        ("models.py:nope", 2, "'models.py' has no 'nope'."),
        ("models.py:Zoo.nope", 2, "'models.py' has no 'Zoo.nope'."),
        ("models.py:five", 2, "must be a model or a callable that returns one, and is an int."),
        ("models.py:number", 2, "must return a torch.nn.Module, and returned an int."),
        ("models.py:nothing", 2, "must return a torch.nn.Module, and returned nothing."),
        ("models.py:raising", 1, "'models.py:raising' raised RuntimeError: No luck."),
        ("models.py:leaving", 1, "'models.py:leaving' raised SystemExit: usage: train.py."),
        ("models.py:refusing", 2, "Not today."),
        ("models.py:lazy", 2, "of a lazy module has no shape yet. Run the model once"),
        ("broken.py:f", 1, "Importing 'broken.py' raised SyntaxError: '[' was never closed"),
        ("broken:f", 1, "Importing 'broken' raised SyntaxError: '[' was never closed"),
        ("needy.py:f", 1, "Importing 'needy.py' raised ModuleNotFoundError: No module named 'no_"),
        ("needy:f", 1, "Importing 'needy' raised ModuleNotFoundError: No module named 'no_such_th"),
    ],
)
def test_what_is_no_model_is_refused(refused, target, code, sentence):
    found = refused(target, "--input", "8,3")
    assert found[0] in (1, 2) if code is None else found[0] == code
    assert sentence in found[1]


@pytest.mark.parametrize("target", ["models.py", "models.py:", ":Net", "Net"])
def test_what_is_no_target_is_refused(etaeff, target):
    done = etaeff("audit", target, "--input", "8,3")
    assert (done.code, done.sentence) == (2, (
        "The target must be 'package.module:factory', 'file.py:factory' or 'transformers:Class'; "
        f"got '{target}'."
    ))  # fmt: skip


# The inputs.


def test_ids_need_the_number_of_them(found, refused):
    values = found("models.py:Words", "--ids", "2,5", "--vocab", 9)
    assert values["parameters"]["embedding.weight"]["shape"] == [9, 4]
    code, sentence = refused("models.py:Words", "--ids", "2,5")
    assert code == 2
    assert sentence == (
        "`--ids` needs `--vocab`, the number of ids: Words has no configuration that says it."
    )


def test_inputs_can_be_named(found):
    named = ("--ids", "ids=2,5", "--vocab", 9, "--input", "scale=2,5,4")
    assert found("models.py:Words", *named)["rank"] > 0


def test_noise_has_the_type_of_the_model(found):
    assert found("models.py:half", "--input", "8,3")["rank"] > 0


@pytest.mark.parametrize("kind", ["tensor", "list", "dict"])
def test_arguments_from_a_file(found, folder, kind):
    x = torch.randint(0, 9, (2, 5))
    torch.save({"tensor": x, "list": [x], "dict": {"ids": x}}[kind], folder / "x.pt")
    assert found("models.py:Words", "--args", "x.pt")["rank"] > 0


class Sly:
    """Runs code where it is unpickled without care."""

    def __reduce__(self):
        return os.mkdir, ("got-you",)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (Sly(), "holds more than tensors, numbers, texts and lists or dicts"),
        (b"nonsense", "'x.pt' is no file of torch.save"),
        (b"", "'x.pt' cannot be read: EOFError"),
        (b"PK\x03\x04nonsense", "'x.pt' cannot be read: "),
        (3, "'x.pt' must hold a tensor, a list of arguments, or a dict of arguments by name; it "),
        ({3: torch.zeros(2)}, "it holds dict."),
    ],
)
def test_a_damaged_or_sly_file_is_refused(refused, folder, content, sentence):
    if isinstance(content, bytes):
        (folder / "x.pt").write_bytes(content)
    else:
        torch.save(content, folder / "x.pt")
    code, found = refused("models.py:Net", "--args", "x.pt")
    assert code == 1
    assert sentence in found
    assert not (folder / "got-you").exists()


@pytest.mark.parametrize(
    ("shape", "what"),
    [("8,4", "float32[8, 4]"), ("1,3", "float32[1, 3]"), ("y=8,3", "y=float32[8, 3]")],
)
def test_inputs_that_do_not_fit_are_a_sentence(refused, shape, what):
    code, sentence = refused("models.py:Net", "--input", shape)
    assert code == 2
    assert sentence.startswith("Net ")
    assert f"({what})" in sentence


@pytest.mark.parametrize(
    "shape", ["", "x", "2,", "2,0", "-1", "2,3.5", "2 3", "=2,3", "a b=2", "3x3"]
)
@pytest.mark.parametrize("option", ["--input", "--ids"])
def test_what_is_no_shape_is_refused(etaeff, option, shape):
    done = etaeff("audit", "models.py:Net", option, shape)
    assert done.code == 2
    assert done.sentence.startswith(f"`{option}` must be whole numbers from 1 with commas between")
    assert done.sentence.endswith(f"got {shape!r}.")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), 2, "A model is traced on inputs: give `--input`, `--ids` or `--args`, a small batch"),
        (("--input", "a=2", "--ids", "a=2"), 2, "The input 'a' was given twice."),
        (("--input", 2, "--args", "x.pt"), 2, "`--args` stands in place of `--input` and `--ids`"),
        (("--args", "x.pt"), 1, "There is no file of arguments 'x.pt'."),
        (("--args", "."), 1, "There is no file of arguments '.'."),
        (("--input", 2, "--vocab", 3), 2, "`--vocab` goes with `--ids` only."),
        (("--ids", 2, "--vocab", 0), 2, "`--vocab` must be at least 1, got 0."),
        (("--input", 2, "--config", "x.json"), 2, "`--config` goes with 'transformers:Class' only"),
        (("--input", 2, "--proof-only", "--discover"), 2, "`--discover` measures, and"),
        (("--input", 2, "--train", "--eval"), 2, "A model is in one mode: give `--train` or"),
        (("--input", 2, "--lr", 1), 2, "`--lr` goes with `--optimizer`, such as sgd or adamw."),
        (("--input", 2, "--optimizer", "sgd"), 2, "The setting 'sgd' says no lr and no wd."),
        (("--input", 2, "--optimizer", "x lr=1 wd=1"), 2, "Unknown optimizer 'x'. Known: "),
        (("--input", 2, "--html", "no/x.html"), 2, "`--html no/x.html` must be a file in a folder"),
        (("--input", 2, "--html", "."), 2, "`--html .` must be a file in a folder that exists."),
        (("--input", 2, "--fail-on", "foo"), 2, "Unknown rule 'foo'. Known: decayed-invariant, "),
        (("--input", 2, "--decayed", "*"), 2, "`--decayed` goes with `--fail-on decayed-invariant"),
        (("--input", 2, "--fail-on", "decayed-invariant"), 2, "needs `--decayed`, a glob for"),
    ],
)
def test_what_can_be_refused_at_once_runs_nothing(etaeff, arguments, code, sentence):
    done = etaeff("audit", "models.py:Net", *arguments)
    assert done.code == code
    assert sentence in done.sentence  # one line, so no warning and no chatter
    assert "audited_models" not in sys.modules


# Rules.


def test_a_model_that_keeps_the_rules_passes(found):
    values = found("models.py:Words", "--ids", "2,5", "--vocab", 9, "--fail-on", "scale-invariant",
                   "--fail-on", "unproved", "--fail-on", "decayed-invariant",
                   "--decayed", "*")  # fmt: skip
    assert values["failed"] == []


def test_scale_invariant_parameters_can_be_refused(etaeff, found):
    rule = ("--input", "8,3", "--fail-on", "scale-invariant")
    done = etaeff("audit", "models.py:Net", *rule)
    assert done.code == 1
    assert done.out.startswith("Net: ")  # the audit is printed all the same
    assert done.err.endswith(
        "\netaeff: --fail-on scale-invariant: 1 parameter is scale-invariant: conv.weight.\n"
    )
    (failure,) = found("models.py:Net", *rule, code=1)["failed"]
    assert failure == {"rule": "scale-invariant", "names": ["conv.weight"],
                       "sentence": "1 parameter is scale-invariant: conv.weight."}  # fmt: skip


@pytest.mark.parametrize(
    ("globs", "code"),
    [(["*"], 1), (["*.weight"], 1), (["*.bias", "conv.*"], 1), (["*.bias"], 0), (["CONV*"], 2)],
)
def test_decayed_invariant_parameters_can_be_refused(etaeff, globs, code):
    decayed = [part for glob in globs for part in ("--decayed", glob)]
    done = etaeff("audit", "models.py:Net", "--input", "8,3", "--fail-on", "decayed-invariant",
                  *decayed)  # fmt: skip
    assert done.code == code
    last = done.err.splitlines()[-1]
    if code == 1:
        assert last == (
            "etaeff: --fail-on decayed-invariant: 1 parameter is scale-invariant and decayed: "
            "conv.weight."
        )
    if code == 2:  # a check of nothing would always pass
        assert last == "etaeff: `--decayed CONV*` fits no parameter of Net."


def test_what_is_not_proved_can_be_refused(etaeff, found):
    rule = ("--input", "2,3", "--fail-on", "unproved")
    (failure,) = found("models.py:Odd", *rule, "--proof-only", code=1)["failed"]
    assert failure["rule"] == "unproved"
    assert failure["sentence"].startswith("No rule is known for `special_bessel_j0`")
    assert etaeff("audit", "models.py:Net", "--input", "8,3", "--fail-on", "unproved").code == 0


def test_what_is_not_known_can_be_refused(etaeff):
    from etaeff.cli._rules import failures

    effects = ["regularises", "has an effect that is not known",
               "has an effect that was not seen (not reached)"]  # fmt: skip
    parameters = {
        f"{n}.w": {"group": "other", "effect": e} for n, e in zip("abc", effects, strict=True)
    }
    (failure,) = failures({"model": "Net", "parameters": parameters}, ["not-known"], [])
    assert failure.sentence == "what decay does to 2 parameters is not known: b.w, c.w."
    assert failure.names == ("b.w", "c.w")
    assert etaeff("audit", "models.py:Net", "--input", "8,3", "--fail-on", "not-known").code == 0


def test_measured_symmetries_are_not_proved():
    from etaeff.cli._rules import failures

    values = {
        "model": "Net",
        "parameters": {f"h.{i}.w": {"group": "scale-invariant"} for i in range(3)},
        "symmetries": [{"exponents": {f"h.{i}.w": "1"}, "proved": False} for i in range(3)],
        "notes": ["The graph shows, and the measurement denies, `x`; it is left out.", "A note."],
        "note_kinds": [{"kind": "denied", "names": ["x"]}, {"kind": "parts", "names": ["y"]}],
    }
    (failure,) = failures(values, ["unproved", "unproved"], [])
    assert failure.sentence == (
        "3 symmetries are measured and not proved: h.*.w (3). The graph shows, and the measurement "
        "denies, `x`; it is left out."
    )
    assert failure.names == ("h.0.w", "h.1.w", "h.2.w")


# Models of transformers.


def test_a_model_of_transformers(found, folder):
    (folder / "tiny.json").write_text(json.dumps(TINY))
    values = found("transformers:GPT2LMHeadModel", "--config", "tiny.json", "--ids", "2,8")
    assert values["model"] == "GPT2LMHeadModel"
    assert values["parameters"]["transformer.wte.weight"]["shape"] == [32, 16]


def test_a_proof_takes_no_memory_for_weights(found):
    # Seven thousand million parameters, 27 GB in float32.
    values = found("transformers:LlamaForCausalLM", "--ids", "2,8", "--proof-only")
    assert values["rank"] == 162


@pytest.mark.parametrize(
    ("name", "config", "code", "sentence"),
    [
        ("GPT2", None, 2, "has no class 'GPT2'."),
        ("GPT2LMHeadModel", "none.json", 1, "The configuration 'none.json' is missing."),
        ("GPT2LMHeadModel", "models.py", 1, "The configuration 'models.py' is not JSON: "),
    ],
)
def test_what_is_no_model_of_transformers_is_refused(refused, name, config, code, sentence):
    given = () if config is None else ("--config", config)
    found = refused(f"transformers:{name}", *given, "--ids", "2,8")
    assert found[0] == code
    assert sentence in found[1]


@pytest.mark.parametrize(
    ("package", "arguments"),
    [("transformers", ("transformers:GPT2LMHeadModel", "--ids", "2,8")),
     ("jinja2", ("models.py:Net", "--input", "8,3", "--html", "x.html"))],
)  # fmt: skip
def test_a_missing_extra_is_the_install_to_type(etaeff, monkeypatch, package, arguments):
    real = errors.import_module

    def missing(module):
        if module == package:
            raise ModuleNotFoundError(f"No module named '{module}'", name=module)
        return real(module)

    monkeypatch.setattr(errors, "import_module", missing)
    done = etaeff("audit", *arguments)
    extra = "transformers" if package == "transformers" else "report"
    assert done.code == 1
    assert done.err.splitlines()[-1] == (
        f"etaeff: This needs '{package}', which is not installed. "
        f"Type: pip install 'etaeff[{extra}]'"
    )


# The process.


def test_help_warns_and_loads_no_torch(python):
    code = """
import sys
from etaeff.cli import main
try:
    main(["audit", "--help"])
except SystemExit as ended:
    heavy = ("torch", "numpy", "transformers", "sympy", "rich", "jinja2")
    print("loaded", ended.code, [m for m in heavy if m in sys.modules])
"""
    done = subprocess.run([*python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded 0 []\n")
    assert "IMPORTS AND RUNS ITS CODE" in done.stdout
    for rule in ("scale-invariant", "unproved", "decayed-invariant"):
        assert f"--fail-on {rule} " in done.stdout


def test_a_refusal_loads_no_torch(python):
    code = """
import sys
from etaeff.cli import main
try:
    main(["audit", "models.py:Net", "--input", "x"])
except SystemExit as ended:
    print(ended.code, "torch" in sys.modules)
"""
    done = subprocess.run([*python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 False\n"

import json
import subprocess
import sys

import pytest
import torch

from etaeff import errors
from etaeff.errors import DataError, EtaeffError, MissingExtraError, UsageError
from etaeff.integrations import transformers_model
from etaeff.symmetry import audit

TINY = {"n_layer": 2, "n_embd": 16, "n_head": 2, "vocab_size": 32, "n_positions": 8}


@pytest.fixture
def config(tmp_path):
    """Writes a configuration and returns its file."""

    def write(content):
        file = tmp_path / "config.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    return write


def test_a_file_and_its_values_give_the_same_model(config):
    models = []
    for given in (config(TINY), str(config(TINY)), TINY):
        torch.manual_seed(0)
        models.append(transformers_model("GPT2LMHeadModel", given))
    first, *others = models
    assert len(first.transformer.h) == 2
    assert first.config.vocab_size == 32
    for other in others:
        for ours, theirs in zip(first.parameters(), other.parameters(), strict=True):
            assert torch.equal(ours, theirs)


def test_caches_are_switched_off():
    model = transformers_model("GPT2LMHeadModel", {**TINY, "use_cache": True})
    assert model.config.use_cache is False
    outputs = model(torch.zeros(1, 4, dtype=torch.int64))
    assert set(outputs) == {"logits"}


def test_a_class_has_a_configuration_by_default():
    model = transformers_model("ResNetForImageClassification", meta=True)
    assert sum(p.numel() for p in model.parameters()) == 23_512_130
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_where_values_are_read_the_weights_are_made(monkeypatch):
    import transformers

    class Reads(transformers.GPT2LMHeadModel):
        def __init__(self, config):
            super().__init__(config)
            self.first = float(self.transformer.wpe.weight[0, 0])

    monkeypatch.setattr(transformers, "GPT2LMHeadModel", Reads)
    model = transformers_model("GPT2LMHeadModel", TINY, meta=True)
    assert next(model.parameters()).device.type == "cpu"


def test_it_can_be_audited():
    torch.manual_seed(0)
    model = transformers_model("GPT2LMHeadModel", TINY)
    found = audit(model, (torch.randint(0, 32, (2, 8)),))
    # The head is tied to the embedding: what scales the one scales the other, and ln_f undoes it.
    assert found.parameters["transformer.wte.weight"].effect == "balances a product"
    joint = next(s for s in found.symmetries if "transformer.wte.weight" in s.exponents)
    assert joint.exponents["transformer.ln_f.weight"] == -joint.exponents["transformer.wte.weight"]


def test_meta_weights_are_enough_for_a_proof():
    model = transformers_model("GPT2LMHeadModel", TINY, meta=True)
    ids = torch.zeros(2, 8, dtype=torch.int64, device="meta")
    real = audit(transformers_model("GPT2LMHeadModel", TINY), (ids.new_zeros(2, 8, device="cpu"),),
                 measure=False)  # fmt: skip
    assert audit(model, (ids,)) == real


def test_transformers_says_nothing(capfd):
    import transformers

    before = transformers.logging.get_verbosity()
    transformers_model("GPT2LMHeadModel", TINY)  # its end-of-text id is outside the vocabulary
    assert capfd.readouterr() == ("", "")
    assert transformers.logging.get_verbosity() == before


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("GPT2LMHead", "has no class 'GPT2LMHead'. Did you mean 'GPT2LMHeadModel'?"),
        ("zzzzzzz", "has no class 'zzzzzzz'."),
        ("AutoModel", "transformers.AutoModel must be the class of a model that has its own"),
        ("GPT2Config", "transformers.GPT2Config must be the class of a model"),
        ("logging", "transformers.logging must be the class of a model"),
    ],
)
def test_what_is_no_model_is_refused(name, sentence):
    with pytest.raises(UsageError) as refused:
        transformers_model(name)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not JSON: "),
        ("\xff{", "is not JSON: "),
        ("[1]", "must hold one JSON object."),
        ({"n_layer": "two"}, "is no configuration of GPT2LMHeadModel: "),
    ],
)
def test_what_is_no_configuration_is_refused(config, content, sentence):
    file = config(content)
    with pytest.raises(DataError) as refused:
        transformers_model("GPT2LMHeadModel", file)
    assert str(file) in str(refused.value)
    assert sentence in str(refused.value)


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match=r"^The configuration '.*none.json' is missing\.$"):
        transformers_model("GPT2LMHeadModel", tmp_path / "none.json")
    with pytest.raises(DataError, match=r"cannot be read: Is a directory\.$"):
        transformers_model("GPT2LMHeadModel", tmp_path)


def test_the_configuration_of_another_class_is_refused():
    with pytest.raises(UsageError) as refused:
        transformers_model("GPT2LMHeadModel", {"model_type": "llama"})
    assert str(refused.value) == (
        "GPT2LMHeadModel needs a configuration of the type 'gpt2', and its configuration has the "
        "type 'llama'."
    )


def test_a_configuration_that_the_class_refuses_is_a_sentence():
    with pytest.raises(EtaeffError, match=r"^GPT2LMHeadModel refuses its configuration: ValueErr"):
        transformers_model("GPT2LMHeadModel", {**TINY, "n_head": 5})


def test_without_transformers_the_install_is_named(monkeypatch):
    def missing(module):
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)

    monkeypatch.setattr(errors, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'etaeff\[transformers\]'$"):
        transformers_model("GPT2LMHeadModel")


def test_importing_the_package_loads_no_outside_package():
    code = "import sys, etaeff.integrations; print('transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

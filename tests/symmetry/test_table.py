import pytest
import torch
from torch import nn

from etaeff._words import WIDTH
from etaeff.symmetry import Audit, audit
from etaeff.symmetry._table import audit_line, audit_table


class Residual(nn.Module):
    """Residual layers with Batch Normalization at the end of each branch."""

    def __init__(self, depth):
        super().__init__()
        self.stem = nn.Linear(3, 8)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU())
            for _ in range(depth)
        )
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        x = self.stem(x)
        for branch in self.branches:
            x = x + branch(x)
        return self.head(x)


@pytest.fixture(autouse=True)
def width(monkeypatch):
    """That of no terminal, whatever the tests run in."""
    monkeypatch.setenv("COLUMNS", "88")


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    return audit(model, (torch.randn(8, 3),))


@pytest.fixture(scope="module")
def deep():
    torch.manual_seed(0)
    return audit(Residual(6), (torch.randn(8, 3),))


def test_repr_is_a_line(small):
    assert repr(small) == (
        "<Audit of Sequential: rank 3; 1 scale-invariant, 1 rescaling, 1 inert, 1 homogeneous; "
        "1 block>"
    )
    assert repr(small) == audit_line(small.to_dict())


def test_str_is_the_table(small):
    assert str(small) == audit_table(small.to_dict())
    assert f"{small}" == audit_table(small.to_dict())


def test_the_table_tells_size_kinds_and_fates(small):
    text = str(small)
    assert " ".join(text.split()).startswith(
        "Sequential: 6 parameters with 34 entries, 3 scaling symmetries, 1 scale-invariant block "
        "of 4 pieces Audited in training mode; outputs that count: output kind number proved"
    )
    for effect in {own.effect for own in small.parameters.values()}:
        assert f"Decay {effect}: " in text
    flat = " ".join(text.split())
    assert "0.weight each of 4 slices along axis 0: it feeds BatchNorm1d `1`." in flat
    assert "rescaling: 1.weight, 1.bias against 3.weight" in flat


def test_outputs_are_told_by_what_they_have_in_common(small):
    values = small.to_dict() | {"outputs": ["logits", *(f"hidden.{i}" for i in range(13))]}
    assert "; outputs that count: logits, hidden.* (13)\n" in audit_table(values)
    names = [chr(ord("a") + i) for i in range(15)]
    assert ", k, l and 3 more\n" in audit_table(values | {"outputs": names}).replace("\n ", "")
    assert "outputs that" not in audit_table(values | {"outputs": []})


@pytest.mark.parametrize(
    ("mode", "words"), [("train", "training mode"), ("eval", "eval mode"), ("mixed", "mixed modes")]
)
def test_the_mode_is_told(small, mode, words):
    assert f"\nAudited in {words}; outputs" in audit_table(small.to_dict() | {"mode": mode})


def test_lines_fit_a_terminal(small, deep):
    for found in (small, deep):
        assert max(map(len, str(found).splitlines())) <= WIDTH
        assert "\N{NO-BREAK SPACE}" not in str(found)


@pytest.mark.parametrize(("columns", "most"), [("60", 60), ("20", 40), ("500", 120), ("x", 88)])
def test_lines_are_as_long_as_those_of_the_terminal(deep, monkeypatch, columns, most):
    monkeypatch.setenv("COLUMNS", columns)
    words = str(deep).split("\nDecay ", 1)[1].split("\nWhat to do next")[0].splitlines()
    assert most - 20 < max(map(len, words)) <= most


def test_words_have_a_legend(small):
    text = " ".join(str(small).split())
    assert "rescaling: some up, others down, and the outputs stay" in text
    assert "homogeneous: the outputs scale with them, so that their direction stays" in text
    assert "defect: how far measured gradients are from it" in text
    unmeasured = audit(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), (torch.randn(4, 3),),
                       measure=False)  # fmt: skip
    assert "defect: " not in str(unmeasured)
    assert "rescaling: " not in str(unmeasured)


def test_what_is_measured_and_not_proved_is_marked(small):
    values = small.to_dict()
    measured = values["parameters"]["0.weight"] | {"ground": "measured"}
    marked = values | {"parameters": values["parameters"] | {"0.weight": measured}}
    flat = " ".join(audit_table(marked).split())
    assert "it feeds BatchNorm1d `1`. (measured, not proved)" in flat
    assert small.parameters["3.bias"].ground == "measured"  # as what regularises always is
    assert str(small).count("measured, not proved") == 0


def test_names_longer_than_a_line_stay_whole():
    model = nn.Sequential()
    inner = model
    for _ in range(12):
        inner.add_module("submodule", nn.Sequential())
        inner = inner.submodule
    inner.add_module("linear", nn.Linear(2, 2))
    name = "submodule." * 12 + "linear.weight"
    assert name in str(audit(model, (torch.randn(4, 2),), measure=False))


def test_layers_are_told_once(deep):
    text = str(deep)
    assert "branches.*.0.weight (6)" in text
    assert text.count(".0.weight (6)") == 1
    assert "branches.3" not in text
    assert len(text.partition("\nWhat to do next")[0].splitlines()) < 45


def test_more_layers_make_the_table_no_longer(deep):
    deeper = audit(Residual(12), (torch.randn(8, 3),))
    # One more where a number has become a digit longer.
    assert len(str(deeper).splitlines()) <= len(str(deep).splitlines()) + 1
    assert len(deeper.to_dict()["parameters"]) == 2 * len(deep.to_dict()["parameters"]) - 4


def test_an_audit_read_back_has_the_same_table(small):
    assert str(Audit.from_dict(small.to_dict())) == str(small)


def test_without_a_measurement_defects_are_dashes():
    found = audit(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), (torch.randn(4, 3),),
                  measure=False)  # fmt: skip
    rows = [line for line in str(found).splitlines() if line.startswith("scale-invariant")]
    assert rows
    assert all(row.split()[-2:] == ["-", "-"] for row in rows)


def test_notes_are_shown():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, x):
            return torch.special.bessel_j0(self.linear(x))

    text = " ".join(str(audit(Odd(), (torch.randn(2, 3),), measure=False)).split())
    assert "Notes - No rule is known for `special_bessel_j0`" in text


def test_a_model_without_symmetries_has_a_table():
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    found = audit(model, (torch.randn(4, 3),))
    assert repr(found) == "<Audit of Sequential: rank 0; no symmetries; 0 blocks>"
    assert "Decay regularises: 2 parameters, 100 % of all entries" in str(found)
    assert "kind" not in str(found)


def test_a_model_without_parameters_has_a_table():
    found = audit(nn.ReLU(), (torch.randn(2),), measure=False)
    assert str(found).startswith("ReLU: 0 parameters with 0 entries, 0 scaling symmetries")

"""What an audit says of each parameter, and what it stands on."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from etaeff import audit
from etaeff.symmetry import DecayKind, Ground, NoteKind


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def verdicts(found):
    return {name: (p.effect, p.ground) for name, p in found.parameters.items()}


def kinds_of(found):
    return {note.kind for note in found.notes}


def normalised(*, bias=True):
    return nn.Sequential(nn.Linear(3, 4, bias=bias), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))


def largest_change(model, x, scale):
    """Of outputs, when each parameter is multiplied by what `scale` says."""
    model = copy.deepcopy(model).double()
    with torch.no_grad():
        before = model(x.double())
        for name, parameter in model.named_parameters():
            parameter.mul_(scale.get(name, 1.0))
        return float((model(x.double()) - before).abs().max() / before.abs().max())


# ----------------------------------------------------------------------------- the three grounds


def test_each_verdict_says_what_it_stands_on():
    assert verdicts(audit(normalised(), (torch.randn(8, 3),))) == {
        "0.weight": (DecayKind.SETS_LR, Ground.PROVED),
        "0.bias": (DecayKind.INERT, Ground.PROVED),
        "1.weight": (DecayKind.REGULARISES, Ground.MEASURED),
        "1.bias": (DecayKind.REGULARISES, Ground.MEASURED),
        "3.weight": (DecayKind.REGULARISES, Ground.MEASURED),
        "3.bias": (DecayKind.REGULARISES, Ground.MEASURED),
    }


@pytest.mark.parametrize("options", [{"measure": False}, {"discover": False}])
def test_without_a_search_nothing_is_said_to_regularise(options):
    found = audit(normalised(), (torch.randn(8, 3),), **options)
    assert found.parameters["0.weight"].ground is Ground.PROVED
    for name in ("1.weight", "1.bias", "3.weight", "3.bias"):
        assert verdicts(found)[name] == (DecayKind.NOT_KNOWN, Ground.NOT_KNOWN)
        assert "no scaling of it was found" in found.effect_of_decay(name)
        assert found.parameters[name].group == "other"
    (note,) = [note for note in found.notes if note.kind is NoteKind.NOT_KNOWN]
    assert note.names == ("1.weight", "1.bias", "3.weight", "3.bias")


def test_a_search_that_would_take_too_long_is_left_out_and_can_be_asked_for(monkeypatch):
    from etaeff.symmetry import _discovery

    monkeypatch.setattr(_discovery, "_is_worth_it", lambda *_: False)
    model, x = normalised(), torch.randn(8, 3)
    assert NoteKind.NOT_SEARCHED in kinds_of(audit(model, (x,)))
    asked = audit(model, (x,), discover=True)
    assert asked.parameters["3.bias"].effect is DecayKind.REGULARISES
    assert NoteKind.NOT_SEARCHED not in kinds_of(asked)


class LogSum(nn.Module):
    """log q + log k is a function of their product, which degrees do not see."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.h = (nn.Linear(3, 4, bias=False) for _ in range(3))

    def forward(self, x):
        return self.h(x).tanh() * (self.q(x).abs().log() + self.k(x).abs().log())


def test_a_symmetry_that_the_rules_miss_is_measured_and_tried():
    model, x = LogSum(), torch.randn(8, 3)
    found = audit(model, (x,))
    (symmetry,) = [s for s in found.symmetries if s.kind != "homogeneous"]
    assert not symmetry.proved
    assert set(symmetry.exponents) == {"q.weight", "k.weight"}
    assert verdicts(found) == {
        "q.weight": (DecayKind.BALANCES, Ground.MEASURED),
        "k.weight": (DecayKind.BALANCES, Ground.MEASURED),
        "h.weight": (DecayKind.REGULARISES, Ground.MEASURED),
    }
    assert NoteKind.UNPROVED in kinds_of(found)
    assert largest_change(model, x, {"q.weight": 8.0, "k.weight": 1 / 8}) < 1e-12
    assert largest_change(model, x, {"q.weight": 8.0}) > 1e-3


@pytest.mark.parametrize(
    "straight",
    [nn.ReLU6(), nn.Hardtanh(-50, 50), nn.Threshold(-80.0, 0.0), nn.Softplus(threshold=1e-3)],
)
def test_what_is_straight_near_the_weights_is_looked_at_farther_off(straight):
    model = nn.Sequential(nn.Linear(3, 4), straight, nn.Linear(4, 2))
    found = audit(model, (torch.randn(8, 3),))
    assert [s.kind for s in found.symmetries] == ["homogeneous"]
    regularised = {p.effect for p in found.parameters.values()}
    assert regularised <= {DecayKind.REGULARISES, DecayKind.NOT_KNOWN}


# ------------------------------------------------------------- parameters that have no gradient


class Rounded(nn.Module):
    """Weights of three values, as in ternary networks: by the mean of their sizes."""

    def __init__(self):
        super().__init__()
        self.w, self.h = nn.Parameter(torch.randn(5, 6)), nn.Linear(5, 2)

    def forward(self, x):
        sizes = self.w.abs().mean()
        return self.h(torch.relu(x @ (self.w / sizes).round().clamp(-1, 1).T))


class Chosen(nn.Module):
    """Columns are chosen by scores; a threshold on their sum does not forget their scale."""

    def __init__(self, threshold):
        super().__init__()
        self.scores, self.h = nn.Parameter(torch.rand(6) + 0.5), nn.Linear(3, 2)
        self.threshold = threshold

    def forward(self, x):
        y = self.h(x[:, self.scores.topk(3).indices])
        return torch.where(self.scores.sum() > self.threshold, y, -y) if self.threshold else y


def test_weights_that_are_rounded_by_their_own_size_are_scale_invariant_without_a_gradient():
    found = audit(Rounded(), (torch.randn(8, 6),))
    assert found.parameters["w"].effect is DecayKind.SETS_LR
    assert NoteKind.WITHOUT_GRADIENT in kinds_of(found)
    (block,) = found.blocks
    assert (block.names, block.count) == (("w",), 1)  # one size for all rows


def test_an_order_is_scale_invariant_and_a_threshold_is_not():
    order, threshold = (audit(Chosen(t), (torch.randn(8, 6),)) for t in (0, 4.0))
    assert order.parameters["scores"].effect is DecayKind.SETS_LR
    assert verdicts(threshold)["scores"] == (DecayKind.REGULARISES, Ground.MEASURED)
    assert not threshold.blocks


class Gate(nn.Module):
    """A row goes to the expert of the largest score: scores can only be scaled together."""

    def __init__(self):
        super().__init__()
        self.gate, self.experts = nn.Linear(4, 3), nn.Linear(4, 6)

    def forward(self, x):
        chosen = F.one_hot(self.gate(x).argmax(-1), 3).to(x.dtype)
        return (self.experts(x).unflatten(-1, (3, 2)) * chosen[..., None]).sum(-2)


@pytest.mark.parametrize("seed", range(4))
def test_scores_that_are_compared_are_one_block(seed):
    torch.manual_seed(seed)
    found = audit(Gate(), (torch.randn(6, 4),))
    assert [(block.names, block.count) for block in found.blocks] == [
        (("gate.weight", "gate.bias"), 1)
    ]


class TwoOrders(Chosen):
    """Two that have no gradient: what they do together could only be guessed."""

    def __init__(self):
        super().__init__(4.0)
        self.more = nn.Parameter(torch.rand(6) + 0.5)

    def forward(self, x):
        return super().forward(x) * torch.where(self.more.sum() > 3.0, 2.0, 1.0)


def test_of_two_parameters_without_a_gradient_not_all_is_known():
    found = audit(TwoOrders(), (torch.randn(8, 6),))
    for name in ("scores", "more"):
        assert verdicts(found)[name] == (DecayKind.NOT_KNOWN, Ground.NOT_KNOWN)
        assert "have no gradient" in found.effect_of_decay(name)


class Item(nn.Module):
    """A norm that leaves torch, where no tracer follows, and no gradient."""

    def __init__(self, power):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4, bias=False), nn.Linear(4, 2)
        self.power = power

    def forward(self, x):
        return self.b(torch.tanh(self.a(x) / self.a.weight.norm().item() ** self.power))


def test_a_number_that_leaves_torch_is_not_taken_for_a_constant():
    exact, other = (audit(Item(power), (torch.randn(8, 3),)) for power in (1.0, 0.5))
    assert exact.parameters["a.weight"].effect is DecayKind.SETS_LR
    assert other.parameters["a.weight"].effect is DecayKind.REGULARISES
    for found in (exact, other):
        for name in ("b.weight", "b.bias"):
            assert found.parameters[name].effect is DecayKind.REGULARISES
    x = torch.randn(8, 3)
    assert largest_change(Item(1.0), x, {"a.weight": 4.0}) < 1e-12
    assert largest_change(Item(0.5), x, {"a.weight": 4.0}) > 1e-3


class Experts(nn.Module):
    """One expert for each row: the one that is called by the row's first entry."""

    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.norm, self.h = nn.LayerNorm(4), nn.Linear(4, 2)

    def forward(self, x):
        which = (x[:, :1] > 0).long() + (x[:, :1] > 1e6).long()
        y = sum(e(x) * (which == i) for i, e in enumerate(self.experts))
        return self.h(self.norm(x + torch.tanh(y)))


def test_what_no_input_reaches_is_not_reached():
    found = audit(Experts(), (torch.randn(16, 4),))
    assert verdicts(found)["experts.2.weight"] == (DecayKind.NOT_REACHED, Ground.NOT_KNOWN)
    assert verdicts(found)["experts.0.weight"] == (DecayKind.REGULARISES, Ground.MEASURED)
    assert not any("experts.2.weight" in s.exponents for s in found.symmetries)
    (note,) = [note for note in found.notes if note.kind is NoteKind.NOT_REACHED]
    assert set(note.names) == {"experts.2.weight", "experts.2.bias"}


class Routed(Experts):
    """The expert is chosen in Python, by an entry of the batch."""

    def forward(self, x):
        which = int(x[0].abs().argmax()) % 2
        return self.h(self.norm(x + torch.tanh(self.experts[which](x))))


def test_what_a_path_does_not_read_is_not_reached_and_not_proved_to_have_no_effect():
    found = audit(Routed(), (torch.randn(16, 4),))
    assert found.tracer == "dispatch log"
    effects = [found.parameters[f"experts.{i}.weight"].effect for i in range(3)]
    assert sorted(effects) == sorted([DecayKind.REGULARISES, *2 * [DecayKind.NOT_REACHED]])
    assert not [s for s in found.symmetries if s.kind == "inert"]
    groups = found.param_groups(lr=0.1, weight_decay=0.1, mode=None)
    assert all(group["weight_decay"] for group in groups)


class Sorted(nn.Module):
    """Rows in the order of a score, whose bias moves all alike."""

    def __init__(self):
        super().__init__()
        self.score, self.h = nn.Linear(4, 1), nn.Linear(4, 2)

    def forward(self, x):
        return self.h(x[self.score(x)[:, 0].argsort()])


def test_of_scores_that_are_sorted_the_bias_is_inert():
    found = audit(Sorted(), (torch.randn(8, 4),))
    assert found.parameters["score.bias"].effect is DecayKind.INERT
    assert found.parameters["score.weight"].effect is DecayKind.SETS_LR


class Asleep(nn.Module):
    """A gate that is closed wherever it is looked at, by a bias far below zero."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.h = nn.Linear(4, 1), nn.Linear(1, 4), nn.Linear(4, 2)
        self.a.bias.data.fill_(-1e4)

    def forward(self, x):
        return self.h(x * torch.sigmoid(self.b(torch.relu(self.a(x)))))


def test_what_sleeps_is_not_called_scale_invariant():
    found = audit(Asleep(), (torch.randn(8, 4),))
    for name in ("a.weight", "a.bias", "b.weight"):
        assert found.parameters[name].effect in (
            DecayKind.NOT_REACHED, DecayKind.NOT_KNOWN, DecayKind.REGULARISES, DecayKind.BALANCES
        )  # fmt: skip
    assert not found.blocks


# --------------------------------------------------------------------- one sign, and the blocks


class Stream(nn.Module):
    """A residual stream before a norm: values can take the place of the projection."""

    def __init__(self):
        super().__init__()
        self.embed, self.up, self.down = (nn.Linear(4, 4, bias=False) for _ in range(3))
        self.h = nn.Linear(4, 2)

    def forward(self, x):
        y = self.embed(x)
        return self.h(F.rms_norm(y + self.down(torch.relu(self.up(F.rms_norm(y, (4,))))), (4,)))


def test_what_lies_in_a_direction_of_one_sign_is_scale_invariant_whatever_the_basis():
    found = audit(Stream(), (torch.randn(8, 4),))
    groups = {name: p.group for name, p in found.parameters.items()}
    assert groups == {
        "embed.weight": "scale-invariant",
        "up.weight": "scale-invariant",
        "down.weight": "scale-invariant",
        "h.weight": "other",
        "h.bias": "other",
    }
    assert [block.names for block in found.blocks] == [("embed.weight", "down.weight")]
    (note,) = [note for note in found.notes if note.kind is NoteKind.WITHOUT_BLOCK]
    assert note.names == ("up.weight",)


class Shared(nn.Module):
    """Two weights that share a bias before a norm, in two directions of one sign."""

    def __init__(self):
        super().__init__()
        self.small, self.large = nn.Linear(2, 4, bias=False), nn.Linear(8, 4, bias=False)
        self.bias, self.h = nn.Parameter(torch.randn(4)), nn.Linear(4, 2)

    def forward(self, x, y):
        return self.h(F.layer_norm(self.small(x) * self.large(y) + self.bias, (4,)))


def test_of_blocks_that_share_a_tensor_the_one_with_more_entries_is_taken():
    found = audit(Shared(), (torch.randn(8, 2), torch.randn(8, 8)))
    assert found.rank == 2
    assert [set(block.names) for block in found.blocks] == [{"large.weight", "bias"}]
    (note,) = [note for note in found.notes if note.kind is NoteKind.WITHOUT_BLOCK]
    assert note.names == ("small.weight",)
    assert found.parameters["small.weight"].effect is DecayKind.SETS_LR


# ------------------------------------------------------------------------- frozen, and the modes


def test_a_frozen_factor_leaves_its_partner_alone():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))
    free = audit(model, (torch.randn(8, 3),))
    model[2].weight.requires_grad_(False)
    frozen = audit(model, (torch.randn(8, 3),))
    assert free.parameters["0.weight"].effect is DecayKind.BALANCES
    assert frozen.parameters["0.weight"].effect is DecayKind.REGULARISES
    assert frozen.parameters["2.weight"].effect is DecayKind.FROZEN
    assert frozen.rank == 0


@pytest.mark.parametrize(
    ("training", "group", "mode"), [(None, "other", "mixed"), (True, "scale-invariant", "train")]
)
def test_modes_that_were_set_by_hand_are_kept_unless_another_is_asked_for(training, group, mode):
    model = normalised(bias=False)
    model[1].eval()
    model[1].running_mean.normal_()
    found = audit(model, (torch.randn(8, 3),), training=training)
    assert (found.parameters["0.weight"].group, found.mode) == (group, mode)
    assert (NoteKind.MIXED_MODES in kinds_of(found)) == (mode == "mixed")
    assert [module.training for module in model] == [True, False, True, True]

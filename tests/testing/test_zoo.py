"""The zoo by itself: its labels agree with each other and, by scaling, with the models.

No audit is asked. Powers of two scale without rounding, and each ε is out of the way, so that a
symmetry leaves the outputs as they are to the last digits.
"""

import pytest
import torch

from etaeff import errors
from etaeff.errors import MissingExtraError, UnknownNameError
from etaeff.testing import zoo

ALL = zoo.cases(*zoo.FAMILIES)
# These have their ε in the code, where it cannot be taken away.
WITH_EPS = {"linear, rms norm written out", "linear, layer norm written out", "standardised conv"}


@pytest.fixture(scope="module", params=ALL)
def labelled(request):
    """A case, its model in float64, and the names of its parameters, none of which is zero."""
    case = ALL[request.param]
    model = case.model().double()
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data += 0.3 * noise
    for module in model.modules():
        for name in {"eps", "variance_epsilon"} & vars(module).keys():
            setattr(module, name, 1e-30)
    return case, model, [name for name, _ in model.named_parameters()]


def change(case, model, exponents, degree=0):
    """Of the outputs, but for `degree`, when parameters are scaled by powers of two.

    Relative to the largest output that is no mask. What is drawn is drawn alike both times, and
    what the model remembers begins alike.
    """
    found = []
    for factor in (1.0, 2.0):
        tensors = {
            name: factor ** exponents.get(name, 0) * parameter.detach()
            for name, parameter in model.named_parameters()
        } | {name: buffer.clone() for name, buffer in model.named_buffers()}
        inputs = {n: x.double() if x.is_floating_point() else x for n, x in case.inputs().items()}
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(0)
            found.append(torch.func.functional_call(model, tensors, (), inputs) / factor**degree)
    before, after = found
    masked = before < -1e6
    assert torch.equal(before[masked], after[masked]) or degree
    return float((after - before)[~masked].abs().max() / before[~masked].abs().max())


def test_labelled_symmetries_change_nothing(labelled):
    case, model, names = labelled
    bound = 1e-3 if case.name in WITH_EPS else 1e-12
    for exponents in case.basis(names):
        assert change(case, model, exponents) < bound, exponents


def test_outputs_scale_along_the_labelled_direction(labelled):
    case, model, names = labelled
    if case.homogeneous:
        text, degree = case.homogeneous
        assert change(case, model, zoo.exponents(text, names), degree) < 1e-12


def test_a_tensor_that_no_label_lets_scale_alone_changes_the_outputs(labelled):
    case, model, names = labelled
    for name in names:
        if not case.contains({name: 1}, names):
            assert change(case, model, {name: 1}) > 1e-6, name


def test_labelled_symmetries_are_a_basis_and_blocks_are_among_them(labelled):
    case, model, names = labelled
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    assert len(case.basis(names)) == case.rank
    assert case.contains({}, names)  # a rank as large as the number of rows
    for block in case.blocks:
        assert case.contains(dict.fromkeys(block.names, 1), names), block
        assert all(shapes[name][block.axis] % block.count == 0 for name in block.names), block


def test_no_parameter_is_labelled_as_both_kinds_of_decay(labelled):
    case, _, names = labelled
    lr, balances, inert = (
        {name for pattern in text.split() for name in zoo.matching(pattern, names)}
        for text in (case.lr, case.balances, case.inert)
    )
    assert lr.isdisjoint(balances)
    assert inert.isdisjoint(lr)
    assert {n for p in case.unproved.split() for n in zoo.matching(p, names)} <= inert


def test_every_case_says_why():
    for case in ALL.values():
        assert 40 < len(case.because) < 400, case.name
        assert case.because.endswith("."), case.name
        assert "  " not in case.because, case.name


def test_names_differ_between_families():
    assert sum(len(zoo.cases(family)) for family in zoo.FAMILIES) == len(ALL) == 82
    assert len(zoo.cases()) == 82 - len(zoo.cases("hugging face"))


def test_a_model_is_the_same_each_time_and_leaves_chance_alone():
    case = ALL["resnet"]
    state = torch.get_rng_state()
    first, second = case.model().state_dict(), case.model().state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_unknown_names_are_sentences():
    with pytest.raises(UnknownNameError, match=r"^Unknown family 'residuals'\. Known: plain, "):
        zoo.cases("plain", "residuals")
    with pytest.raises(UnknownNameError, match=r"^Unknown parameter 'c\.\*'\. Known: a, b\.$"):
        zoo.exponents("a / c.*", ["a", "b"])


def test_without_transformers_labels_can_be_read_and_the_install_is_named(monkeypatch):
    def missing(module):
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)

    monkeypatch.setattr(errors, "import_module", missing)
    case = zoo.cases("hugging face")["LlamaForCausalLM"]
    with pytest.raises(MissingExtraError, match=r"pip install 'etaeff\[transformers\]'$"):
        case.model()

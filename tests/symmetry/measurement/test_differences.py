"""Samples by differences, and whether gradients tell all, beside gradients that do."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from etaeff.symmetry._measurement._bound import open_directions
from etaeff.symmetry._measurement._differences import PRECISION, difference_samples
from etaeff.symmetry._measurement._experiment import Experiment
from etaeff.symmetry._measurement._float64 import runner
from etaeff.symmetry._measurement._samples import quick_samples
from etaeff.symmetry._measurement._whole import gradients_are_whole
from etaeff.symmetry._tracing._graph import of_program

KNOWN = [{"0.weight": 1, "0.bias": 1}, {"1.weight": 1, "1.bias": 1, "3.weight": -1}]


@pytest.fixture
def traced():
    """A network with two symmetries."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.randn(8, 3)
    run = runner(of_program(torch.export.export(model, (x,), strict=False)), own_epsilon=False)
    parameters = dict(model.named_parameters())
    return Experiment(run, parameters, {name: name for name in parameters}, [x])


def test_differences_find_the_symmetries_that_gradients_find(traced):
    names = list(traced.parameters)
    for take, precision in ((difference_samples, PRECISION), (quick_samples, 1e-9)):
        drawn = [s for seed in (1, 2) for s in take(traced, losses=6, seed=seed, powers={})]
        assert len(open_directions(drawn, names, KNOWN, precision)) == 0
        assert len(open_directions(drawn, names, KNOWN[:1], precision)) == 1


def test_what_scaling_does_not_change_has_no_derivative_by_differences(traced):
    for sample in difference_samples(traced, losses=3, seed=1, powers={"3.bias": 2.0}):
        sums = {name: sample.inner(name) for name in traced.parameters}
        largest = max(map(abs, sums.values()))
        for known in KNOWN:
            assert abs(sum(power * sums[name] for name, power in known.items())) < 1e-7 * largest


def test_what_is_held_has_no_sum(traced):
    (sample,) = difference_samples(replace(traced, held={"3.bias"}), losses=1, seed=1, powers={})
    assert set(sample.sums) == set(traced.parameters) - {"3.bias"}


def test_gradients_of_a_graph_tell_all(traced):
    assert gradients_are_whole(traced)


def test_a_value_that_is_detached_is_noticed(traced):
    def without_a_part(weights, inputs):
        (output,) = traced.run(weights, inputs)
        return [output * output.detach()]

    assert not gradients_are_whole(replace(traced, run=without_a_part))


def test_a_model_that_takes_no_other_inputs_is_sampled_on_its_own(traced):
    x = traced.inputs[0]

    def of_these_inputs(weights, inputs):
        if not torch.equal(inputs[0].float(), x):
            raise ValueError("other inputs")
        return traced.run(weights, inputs)

    picky = replace(traced, run=of_these_inputs)
    for take in (difference_samples, quick_samples):
        assert len(take(picky, losses=2, seed=1, powers={})) == 2

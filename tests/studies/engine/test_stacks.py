from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.trials import changed

from etaeff.errors import UnknownNameError, UsageError
from etaeff.records import NETWORKS, OPTIMIZERS, TRIAL_COLUMNS, Trial
from etaeff.studies.engine._stacks import (
    STACK_SIZE,
    UNSTACKABLE,
    check_trainable,
    stack_key,
    stacks,
    work,
)

BASE = {"data": "digits", "train_size": 100, "lr": 0.1, "steps": 10, "batch_size": 10}
# Everything that decides the shape of a computation, or what is computed once for a whole stack.
SHAPING = {
    "data": "mnist",
    "train_size": 90,
    "network": "conv",
    "width": 8,
    "norm": "layer",
    "optimizer": "adam",
    "sphere": True,
    "steps": 11,
    "batch_size": 9,
}
EACH_ITS_OWN = {
    "lr": 0.2,
    "lr_rest": 0.3,
    "wd": 0.1,
    "decay_weights": False,
    "decay_head": True,
    "decay_gains": "all",
    "init_scale": 2.0,
    "random_labels": 0.5,
    "schedule": "cosine",
    "seed": 7,
}
TRIALS = st.lists(
    st.builds(
        Trial.of,
        data=st.just("digits"),
        train_size=st.just(100),
        network=st.sampled_from(["mlp", "mlp", "mlp", "conv"]),
        norm=st.sampled_from(["batch", "layer"]),
        optimizer=st.sampled_from(["sgd", "adam"]),
        lr=st.sampled_from([0.1, 0.2, 0.3]),
        steps=st.sampled_from([10, 20]),
        batch_size=st.just(10),
        seed=st.integers(0, 10**6),
    ),
    max_size=150,
    unique_by=lambda trial: trial.id,
)


def test_every_field_of_a_trial_is_named_here():
    assert SHAPING.keys() | EACH_ITS_OWN.keys() == set(TRIAL_COLUMNS)


@pytest.mark.parametrize("field", SHAPING)
def test_trials_that_differ_in_what_shapes_the_computation_do_not_stack(field):
    one = Trial.of(**BASE)
    other = changed(one, **{field: SHAPING[field]})
    assert stack_key(one) != stack_key(other)
    assert len(stacks([one, other])) == 2


@pytest.mark.parametrize("field", EACH_ITS_OWN)
def test_trials_that_differ_in_anything_else_do(field):
    one = Trial.of(**BASE)
    other = changed(one, **{field: EACH_ITS_OWN[field]})
    assert stacks([one, other]) == [(one, other)]


@settings(max_examples=50)
@given(TRIALS)
def test_stacks_are_a_partition_of_alike_trials_within_the_size(trials):
    found = stacks(trials)
    assert Counter(t.id for stack in found for t in stack) == Counter(t.id for t in trials)
    for stack in found:
        assert len({stack_key(t) for t in stack}) == 1
        assert 1 <= len(stack) <= STACK_SIZE[stack[0].task.network]


@settings(max_examples=50)
@given(TRIALS)
def test_stacks_are_as_few_as_can_be_and_of_nearly_one_size(trials):
    sizes = {}
    for stack in stacks(trials):
        sizes.setdefault(stack_key(stack[0]), []).append(len(stack))
    for key, own in sizes.items():
        limit = STACK_SIZE[key[0].network]
        assert len(own) == -(-sum(own) // limit)
        assert max(own) - min(own) <= 1


@settings(max_examples=50)
@given(TRIALS)
def test_stacks_are_the_same_every_time_with_the_most_work_first(trials):
    found = stacks(trials)
    assert found == stacks(list(trials))
    works = [sum(t.task.steps for t in stack) for stack in found]
    assert works == sorted(works, reverse=True)
    assert works == [work(stack) for stack in found]


def test_hyperparameters_shape_a_stack_however_they_are_given():
    common = {"data": "digits", "train_size": 100, "steps": 10, "batch_size": 10}
    full = Trial.of(**common, lr=0.2, momentum=0.9, nesterov=False)
    other = Trial.of(**common, lr=0.1, optimizer="sgd momentum=0.8")
    named = Trial.of(**common, lr=0.1, optimizer="heavy-ball")
    assert stacks([full, other, named]) == [(full, named), (other,)]


# What cannot be trained


@pytest.mark.parametrize("optimizer", UNSTACKABLE)
def test_an_optimizer_that_cannot_be_stacked_is_refused_with_the_reason(optimizer):
    with pytest.raises(UsageError) as refused:
        check_trainable([Trial.of(**BASE), Trial.of(**BASE, optimizer=optimizer)])
    assert str(refused.value) == (
        f"`optimizer` '{optimizer}' cannot train in a stack: {UNSTACKABLE[optimizer]}."
    )


@pytest.mark.parametrize("changes", [{}, {"momentum": 0.9, "dampening": 0.5}])
def test_nesterov_needs_what_torch_needs_for_it(changes):
    with pytest.raises(UsageError, match=r"^`nesterov` needs `momentum` above 0 and no"):
        check_trainable([Trial.of(**BASE, nesterov=True, **changes)])


def test_an_unknown_network_is_refused():
    with pytest.raises(UnknownNameError) as refused:
        check_trainable([Trial.of(**BASE, network="nonsense")])
    known = ", ".join(NETWORKS)
    assert str(refused.value).startswith(f"Unknown network 'nonsense'. Known: {known}.")


def test_what_the_engine_comes_with_is_not_refused():
    trials = [Trial.of(**BASE, optimizer=name) for name in OPTIMIZERS]
    check_trainable([*trials, *(Trial.of(**BASE, network=name) for name in NETWORKS)])


def test_no_trials_make_no_stacks():
    assert stacks([]) == []


def test_a_hundred_alike_make_four_stacks_of_25():
    trials = [Trial.of(**BASE, seed=seed) for seed in range(100)]
    found = stacks(trials)
    assert [len(stack) for stack in found] == [25] * 4
    assert sorted(t.seed for stack in found for t in stack) == list(range(100))

"""What users hand over: odd layouts and shapes, groups, flags, copies."""

import copy
import json
import math

import pytest
import torch
from torch import nn
from torch.nn import Parameter

from etaeff.errors import NumericalError, UsageError
from etaeff.geometry import Block, param_groups
from etaeff.optim import SphereAdam, SphereLion, SphereMuon, SphereSGD
from etaeff.testing._problem import bits, turns

CLASSES = {
    "sgd": lambda groups, **kwargs: SphereSGD(groups, momentum=0.9, **kwargs),
    "adam": SphereAdam,
    "adam-block": lambda groups, **kwargs: SphereAdam(groups, second_moment="block", **kwargs),
    "lion": SphereLion,
}
every = pytest.mark.parametrize("make", CLASSES.values(), ids=CLASSES)
by_mode = pytest.mark.parametrize("mode", ["projected", "angle", "equilibrium"])


def groups_of(weight, count=1, axis=0, **kwargs):
    arguments = {"lr": 0.05, "weight_decay": 0.1} | kwargs
    return param_groups({"w": weight}, [Block(("w",), axis=axis, count=count)], **arguments)


def train(make, weight, steps=5, count=1, axis=0, **kwargs):
    """Steps with the same gradients for all layouts of a weight."""
    optimizer = make(groups_of(weight, count, axis, **kwargs))
    source = torch.Generator().manual_seed(1)
    for _ in range(steps):
        grad = torch.randn(weight.shape, generator=source, dtype=torch.float64).to(weight.dtype)
        weight.grad = torch.empty_like(weight).copy_(grad)
        optimizer.step()
    return weight.detach()


def norms(weight, count, axis=0):
    return weight.double().movedim(axis, 0).reshape(count, -1).norm(dim=1)


# ---------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize("layout", ["channels_last", "transposed", "strided", "expanded grad"])
@by_mode
@every
def test_a_layout_changes_nothing(make, mode, layout):
    torch.manual_seed(0)
    start = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    expected = train(make, Parameter(start.clone()), count=4, mode=mode)
    other = {
        "channels_last": start.clone().to(memory_format=torch.channels_last),
        "transposed": start.clone().permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0),
        "strided": torch.stack([start, start], dim=-1)[..., 0],
        "expanded grad": start.clone(),
    }[layout]
    assert torch.equal(other, start)
    assert other.is_contiguous() == (layout == "expanded grad")
    weight = Parameter(other)
    strides = weight.stride()
    torch.testing.assert_close(
        train(make, weight, count=4, mode=mode), expected, rtol=0, atol=1e-12
    )
    assert weight.stride() == strides


@every
def test_gradients_may_have_another_layout_than_weights(make):
    torch.manual_seed(0)
    start = torch.randn(4, 3, 2, 2)
    found = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        weight = Parameter(start.clone())
        optimizer = make(groups_of(weight, 4))
        weight.grad = torch.ones(4, 3, 2, 2).cumsum(1).to(memory_format=memory_format)
        optimizer.step()
        found.append(weight.detach())
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-6)


@every
def test_axis_one_is_the_transpose(make):
    torch.manual_seed(0)
    start = torch.randn(3, 4, dtype=torch.float64)
    grads = torch.randn(5, 3, 4, dtype=torch.float64)
    found = []
    for transpose in (False, True):
        weight = Parameter((start.T if transpose else start).clone())
        optimizer = make(groups_of(weight, 4, axis=0 if transpose else -1))
        for grad in grads:
            weight.grad = grad.T.clone() if transpose else grad.clone()
            optimizer.step()
        found.append(weight.detach().T if transpose else weight.detach())
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-12)
    torch.testing.assert_close(found[0].norm(dim=0), torch.ones(4, dtype=torch.float64))


@by_mode
@every
def test_heads_are_pieces_of_several_rows(make, mode):
    torch.manual_seed(0)
    weight = train(make, Parameter(torch.randn(6, 5)), count=2, mode=mode)
    assert float((norms(weight, 2) - 1).abs().max()) < 5e-7
    assert float((norms(weight, 6) - 1).abs().max()) > 0.1


@by_mode
@every
def test_joint_blocks_go_like_the_tensor_that_they_are_cut_from(make, mode):
    torch.manual_seed(0)
    start, grads = torch.randn(3, 5).double(), torch.randn(6, 3, 5).double()
    whole = Parameter(start.clone())
    optimizer = make(groups_of(whole, 3, mode=mode))
    left, right = Parameter(start[:, :4].clone()), Parameter(start[:, 4].clone())
    joint = make(
        param_groups(
            {"weight": left, "bias": right}, [Block(("weight", "bias"), count=3)],
            lr=0.05, weight_decay=0.1, mode=mode,
        )
    )  # fmt: skip
    for grad in grads:
        whole.grad, left.grad, right.grad = grad, grad[:, :4].clone(), grad[:, 4].clone()
        optimizer.step()
        joint.step()
    got = torch.cat([left, right[:, None]], dim=1)
    torch.testing.assert_close(got, whole, rtol=0, atol=1e-12)


@by_mode
@every
def test_a_silent_tensor_of_a_joint_block_turns_with_it(make, mode):
    torch.manual_seed(0)
    a, b = Parameter(torch.randn(3, 4)), Parameter(torch.randn(3))
    optimizer = make(
        param_groups(
            {"a": a, "b": b}, [Block(("a", "b"), count=3)], lr=0.05, weight_decay=0.1, mode=mode
        )
    )
    for silent in (b, a, b):
        for p in (a, b):
            p.grad = None if p is silent else torch.randn_like(p)
        optimizer.step()
        joint = torch.cat([a, b[:, None]], dim=1).detach()
        assert float((norms(joint, 3) - 1).abs().max()) < 5e-7


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@every
def test_one_entry_is_plus_or_minus_the_radius(make, shape):
    for value in (-0.3, 0.7, 1.9):
        weight = train(make, Parameter(torch.full(shape, value)), steps=20, radius=1.7)
        assert weight.shape == shape
        assert abs(abs(float(weight)) / 1.7 - 1) < 5e-7


@pytest.mark.parametrize("mode", ["angle", "equilibrium"])
@pytest.mark.parametrize(("shape", "count"), [((), 1), ((1, 1), 1), ((3,), 3)])
@every
def test_two_points_have_no_angle_to_turn_by(make, mode, shape, count):
    weight = Parameter(torch.full(shape, 0.7))
    with pytest.raises(UsageError, match=f"'w' has one entry.*mode='{mode}' has nothing to turn"):
        make(groups_of(weight, count, mode=mode))
    assert torch.equal(weight, torch.full(shape, 0.7))
    optimizer = make(groups_of(weight, count))
    optimizer.param_groups[0] |= {"mode": mode, "weight_decay": 0.0}
    weight.grad = torch.ones(shape)
    with pytest.raises(UsageError, match="has one entry"):
        optimizer.step()


@every
def test_tensors_that_cannot_lie_on_a_sphere_are_refused(make):
    bad = {
        "is complex": torch.ones(3, dtype=torch.complex64),
        "meta device": torch.ones(3, device="meta"),
        "dense tensor": torch.eye(3).to_sparse(),
    }
    for sentence, value in bad.items():
        groups = param_groups({"head.w": Parameter(value)}, [Block(("head.w",))], lr=0.1)
        with pytest.raises(UsageError, match=rf"'head\.w'.*{sentence}"):
            make(groups)


@pytest.mark.parametrize("sphere", [True, False])
@every
def test_sparse_gradients_are_refused_or_work(make, sphere):
    weight = Parameter(torch.ones(4, 3))
    optimizer = make(groups_of(weight, 4) if sphere else [weight])
    weight.grad = torch.eye(4, 3).to_sparse()
    before = bits([weight])
    if isinstance(optimizer, SphereSGD) and not sphere:
        optimizer.step()  # as torch's
        assert bits([weight]) != before
        return
    with pytest.raises((UsageError, RuntimeError), match=r"(?i)sparse"):
        optimizer.step()
    assert bits([weight]) == before


def test_muon_takes_matrices_alone():
    matrix, vector = Parameter(torch.randn(4, 3)), Parameter(torch.ones(3))
    before = bits([matrix, vector])
    with pytest.raises(UsageError, match=r"2D.*\[3\]"):
        SphereMuon([*groups_of(matrix), *groups_of(vector)])
    assert bits([matrix, vector]) == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@every
def test_each_dtype_stays_at_its_radius(make, dtype):
    torch.manual_seed(0)
    weight = train(make, Parameter(torch.randn(4, 64).to(dtype)), steps=30, count=4)
    assert weight.dtype == dtype
    bound = 5e-7 if dtype == torch.float32 else 2 * torch.finfo(dtype).eps
    assert float((norms(weight, 4) - 1).abs().max()) < bound


# ----------------------------------------------------------------------------------------- groups


@by_mode
def test_groups_are_plain_values(mode):
    weight = Parameter(torch.randn(4, 3))
    for make in (*CLASSES.values(), SphereMuon):
        optimizer = make(groups_of(weight, 4, mode=mode))
        weight.grad = torch.randn(4, 3)
        optimizer.step()
        saved = optimizer.state_dict()
        again = json.loads(json.dumps(saved["param_groups"]))
        for group, other in zip(saved["param_groups"], again, strict=True):
            assert json.dumps(group) == json.dumps(other)
            (block,) = group["blocks"]
            expected = {"names": ["w"], "params": [0], "axis": 0, "count": 4}
            assert expected.items() <= block.items()


@every
def test_added_groups_are_put_at_their_radius_and_refused_ones_leave_nothing(make):
    torch.manual_seed(0)
    first, second = Parameter(torch.randn(4, 3)), Parameter(torch.randn(2, 5))
    optimizer = make([first])
    optimizer.add_param_group(groups_of(second, 2, mode="angle", radius=3.0)[0])
    torch.testing.assert_close(second.norm(dim=1), torch.full((2,), 3.0))
    zero = Parameter(torch.zeros(2, 5))
    with pytest.raises(UsageError, match="direction"):
        optimizer.add_param_group(groups_of(zero, 2)[0])
    with pytest.raises(UsageError, match="decay"):
        optimizer.add_param_group(groups_of(zero, 2)[0] | {"weight_decay": 0.1})
    with pytest.raises(UsageError, match="`mode`"):
        optimizer.add_param_group(groups_of(zero, 2)[0] | {"mode": "half"})
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 1]
    for p in (first, second):
        p.grad = torch.randn_like(p)
    before = second.detach().clone()
    optimizer.step()
    torch.testing.assert_close(turns(before, second).float(), torch.full((2,), 0.05))


@every
def test_named_parameters_may_be_given(make):
    model = nn.Linear(3, 4)
    optimizer = make(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    model = nn.Linear(3, 4)
    groups = param_groups(model, [Block(("weight",), count=4)], lr=0.1)
    for group in groups:
        names = {id(p): name for name, p in model.named_parameters()}
        group["params"] = [(names[id(p)], p) for p in group["params"]]
    optimizer = make(groups)
    assert [group["param_names"] for group in optimizer.param_groups] == [["weight"], ["bias"]]
    model(torch.ones(2, 3)).square().sum().backward()
    optimizer.step()
    torch.testing.assert_close(model.weight.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize("radius", ["one", 0, -1.0, math.inf, math.nan, True, None])
def test_what_is_no_radius_is_refused(radius):
    with pytest.raises(UsageError, match="`radius` must be"):
        SphereSGD(groups_of(Parameter(torch.ones(4, 3)), 4, radius=radius))


@every
def test_a_refused_group_leaves_those_before_it_as_they_were(make):
    first, zero = Parameter(torch.randn(4, 3)), Parameter(torch.zeros(2, 5))
    before = bits([first])
    with pytest.raises(UsageError, match="direction"):
        make([*groups_of(first, 4), *groups_of(zero, 2)])
    tiny = Parameter(torch.randn(2, 5, dtype=torch.float16))
    with pytest.raises(UsageError, match="`radius`"):  # that float16 does not have
        make([*groups_of(first, 4), *groups_of(tiny, 2, radius=1e6)])
    assert bits([first]) == before


@every
def test_a_group_that_is_changed_later_is_refused(make):
    weight = Parameter(torch.randn(4, 3))
    optimizer = make(groups_of(weight, 4))
    (group,) = optimizer.param_groups
    weight.grad = torch.randn(4, 3)
    before = bits([weight])
    group["mode"] = "half"
    with pytest.raises(UsageError, match=r"`mode` must be one of .*, got 'half'"):
        optimizer.step()
    flat = Parameter(weight.detach().flatten())  # as DeepSpeed does it
    flat.grad = torch.randn(12)
    group |= {"mode": "projected", "params": [flat]}
    with pytest.raises(UsageError, match=r"had shape \[4, 3\].*has shape \[12\]"):
        optimizer.step()
    assert bits([weight]) == bits([flat]) == before


@every
def test_a_frozen_tensor_of_a_joint_block_is_refused(make):
    params = {"a": Parameter(torch.randn(3, 4)), "b": Parameter(torch.randn(3))}

    def made():
        return make(param_groups(params, [Block(("a", "b"), count=3)], lr=0.1))

    optimizer = made()  # all are trained
    for frozen in params:
        params[frozen].requires_grad_(False)
        before = bits(list(params.values()))
        for p in params.values():
            p.grad = torch.randn_like(p)
        for call in (made, optimizer.step):
            with pytest.raises(UsageError, match=f"'{frozen}' is frozen.*all its tensors or none"):
                call()
        assert bits(list(params.values())) == before
        params[frozen].requires_grad_(True)
    for p in params.values():
        p.requires_grad_(False)
        p.grad = None
    before = bits(list(params.values()))
    made().step()
    assert bits(list(params.values())) == before


# ------------------------------------------------------------------------------- state of the Adam


def test_steps_are_counted_in_torch_s_dtype():
    weight = Parameter(torch.randn(4, 3))
    optimizer = SphereAdam(groups_of(weight, 4))
    weight.grad = torch.randn(4, 3)
    torch.set_default_dtype(torch.bfloat16)  # counts to 256
    try:
        optimizer.step()
    finally:
        torch.set_default_dtype(torch.float32)
    assert optimizer.state[weight]["step"].dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "dtype", "size"),
    [
        ({"foreach": False}, torch.float32, 1e25),
        ({"foreach": True}, torch.float32, 1e25),
        ({"fused": True}, torch.float32, 1e25),
        ({"amsgrad": True}, torch.float32, 1e25),
        ({"second_moment": "block"}, torch.float64, 1e200),
    ],
)
@by_mode
def test_an_infinite_second_moment_is_refused(options, dtype, size, mode):
    """The weight would stand still for ever."""
    weight = Parameter(torch.randn(4, 3, dtype=dtype))
    optimizer = SphereAdam(groups_of(weight, 4, mode=mode), **options)
    for grad in (size, 1.0):
        weight.grad = torch.randn(4, 3, dtype=dtype) * grad
        before = bits([weight])
        with pytest.raises(NumericalError, match="'w'"):
            optimizer.step()
        assert bits([weight]) == before


def test_one_second_moment_and_one_count_for_all_tensors_of_a_block():
    """Also when they are heard one after the other."""
    torch.manual_seed(0)
    params = {"a": Parameter(torch.randn(3, 4).double()), "b": Parameter(torch.randn(3).double())}
    groups = param_groups(params, [Block(("a", "b"), count=3)], lr=0.1)
    optimizer = SphereAdam(groups, betas=(0.9, 0.5), second_moment="block")
    v = torch.zeros(3, dtype=torch.float64)
    for count, heard in enumerate(("b", "b", "ab", "a", "b"), start=1):
        square = torch.zeros(3, dtype=torch.float64)
        for name, p in params.items():
            p.grad = torch.randn_like(p) if name in heard else None
            if p.grad is not None:
                square += p.grad.reshape(3, -1).square().sum(1)
        optimizer.step()
        v = 0.5 * v + 0.5 * square / 5
        for p in params.values():
            state = optimizer.state[p]
            assert int(state["step"]) == count
            torch.testing.assert_close(state["exp_avg_sq"], v)


@every
def test_what_was_not_heard_has_no_state(make):
    params = {name: Parameter(torch.randn(4, 3)) for name in "vw"}
    blocks = [Block((name,), count=4) for name in "vw"]
    optimizer = make(param_groups(params, blocks, lr=0.1))
    params["w"].grad = torch.randn(4, 3)
    optimizer.step()
    assert list(optimizer.state_dict()["state"]) == [1]


# ------------------------------------------------------------------------- flags and tensor rates


@by_mode
@every
def test_maximize_goes_up(make, mode):
    torch.manual_seed(0)
    start, grad = torch.randn(4, 3), torch.randn(4, 3)
    found = []
    for maximize in (False, True):
        weight = Parameter(start.clone())
        optimizer = make(groups_of(weight, 4, mode=mode), maximize=maximize)
        for _ in range(3):
            weight.grad = -grad if maximize else grad.clone()
            optimizer.step()
        found.append(bits([weight]))
    assert found[0] == found[1]


@by_mode
@every
def test_a_tensor_rate_is_a_rate(make, mode):
    torch.manual_seed(0)
    start, grads = torch.randn(4, 3), torch.randn(3, 4, 3)
    found = []
    for lr in (0.0625, torch.tensor(0.0625)):
        weight = Parameter(start.clone())
        optimizer = make(groups_of(weight, 4, mode=mode, lr=lr))
        for i, grad in enumerate(grads):
            weight.grad = grad.clone()
            optimizer.step()
            if i == 1 and isinstance(lr, torch.Tensor):
                lr.fill_(0.03125)
            elif i == 1:
                optimizer.param_groups[0]["lr"] = 0.03125
        found.append(weight.detach())
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-7)


@every
def test_a_tensor_rate_of_zero_changes_no_bit(make):
    weight = Parameter(torch.randn(4, 3))
    for mode in ("projected", "angle"):
        optimizer = make(groups_of(weight, 4, mode=mode, lr=torch.tensor(0.0)))
        before = bits([weight])
        weight.grad = torch.randn(4, 3)
        optimizer.step()
        assert bits([weight]) == before


def test_differentiable_steps_carry_gradients():
    """d/dg of a projected step of SGD, against autograd on the formula."""
    torch.manual_seed(0)
    start = torch.nn.functional.normalize(torch.randn(2, 3, dtype=torch.float64), dim=1)
    grad = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    weight = start.clone().requires_grad_(False)
    optimizer = SphereSGD(groups_of(weight, 2, lr=0.1), differentiable=True)
    weight.grad = grad
    optimizer.step()
    expected = torch.nn.functional.normalize(start - 0.1 * grad, dim=1)
    torch.testing.assert_close(weight, expected)
    for seen in (weight, expected):
        assert seen.requires_grad
    probe = torch.randn(2, 3, dtype=torch.float64)
    (got,) = torch.autograd.grad((weight * probe).sum(), grad)
    (right,) = torch.autograd.grad((expected * probe).sum(), grad)
    torch.testing.assert_close(got, right)


@every
def test_state_dicts_are_not_shared_with_copies(make):
    weight = Parameter(torch.randn(4, 3))
    optimizer = make(groups_of(weight, 4))
    weight.grad = torch.randn(4, 3)
    optimizer.step()
    other, twin = copy.deepcopy((optimizer, weight))
    before = bits([weight, *other.state[twin].values()][:2])
    twin.grad = torch.randn(4, 3)
    other.step()
    assert bits([weight]) == before[:1]

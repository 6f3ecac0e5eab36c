import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from etaeff.errors import UnknownNameError, UsageError
from etaeff.geometry import MODES, Block, param_groups


def network():
    return nn.Sequential(
        nn.Linear(3, 4),
        nn.BatchNorm1d(4),
        nn.Linear(4, 6, bias=False),
        nn.BatchNorm1d(6),
        nn.Linear(6, 2),
    )


BLOCKS = [Block(("2.weight",), count=6), Block(("0.weight", "0.bias"), count=4)]


def ids(groups):
    return [id(p) for group in groups for p in group["params"]]


def test_order_is_that_of_the_blocks_and_then_that_of_the_model():
    model = network()
    named = dict(model.named_parameters())
    groups = param_groups(model, BLOCKS, lr=0.1, weight_decay=0.01, without_decay=("4.bias",))
    assert [group["kind"] for group in groups] == ["sphere", "other", "without decay"]
    names = {id(p): name for name, p in named.items()}
    assert [[names[id(p)] for p in group["params"]] for group in groups] == [
        ["2.weight", "0.weight", "0.bias"],
        ["1.weight", "1.bias", "3.weight", "3.bias", "4.weight"],
        ["4.bias"],
    ]
    assert groups[0]["blocks"] == [
        {"names": ["2.weight"], "params": [0], "shapes": [[6, 4]], "axis": 0, "count": 6},
        {
            "names": ["0.weight", "0.bias"],
            "params": [1, 2],
            "shapes": [[4, 3], [4]],
            "axis": 0,
            "count": 4,
        },
    ]
    assert [group["weight_decay"] for group in groups] == [0.0, 0.01, 0.0]


def test_a_group_holds_plain_values():
    sphere = param_groups(network(), BLOCKS, lr=0.1, radius=2.0, mode="angle")[0]
    del sphere["params"]
    assert sphere == {
        "lr": 0.1,
        "weight_decay": 0.0,
        "kind": "sphere",
        "blocks": sphere["blocks"],
        "mode": "angle",
        "radius": 2.0,
    }
    plain = (str, int, float, list, dict)
    assert all(type(v) in plain for own in sphere["blocks"] for v in (own, *own.values()))


names = st.sampled_from([name for name, _ in network().named_parameters()])


@given(st.sets(names), st.sets(names), st.sampled_from(MODES))
def test_every_parameter_is_in_one_group_once(on_spheres, without_decay, mode):
    model = network()
    blocks = [Block((name,)) for name in sorted(on_spheres)]
    groups = param_groups(
        model, blocks, lr=0.1, weight_decay=0.5, mode=mode, without_decay=without_decay
    )
    assert sorted(ids(groups)) == sorted(map(id, model.parameters()))
    assert all(group["params"] for group in groups)
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for name, p in model.named_parameters():
        if name in on_spheres:
            assert decay[id(p)] == (0.5 if mode == "equilibrium" else 0.0)
        else:
            assert decay[id(p)] == (0.0 if name in without_decay else 0.5)


def test_the_blocks_can_have_an_lr_of_their_own():
    groups = param_groups(network(), BLOCKS, lr=0.1, sphere_lr=0.02)
    assert [group["lr"] for group in groups] == [0.02, 0.1]
    groups = param_groups(network(), BLOCKS, lr=0.1, sphere_lr=0.0)
    assert [group["lr"] for group in groups] == [0.0, 0.1]  # 0 is no missing number


def test_separate_makes_a_group_for_each_block():
    model = network()
    groups = param_groups(model, BLOCKS, lr=0.1, separate=True)
    together = param_groups(model, BLOCKS, lr=0.1)
    assert [group["kind"] for group in groups] == ["sphere", "sphere", "other"]
    assert ids(groups) == ids(together)
    places = [[own["params"] for own in group["blocks"]] for group in groups[:2]]
    assert places == [[[0]], [[0, 1]]]  # within their own group
    assert len(param_groups(model, (), lr=0.1, separate=True)) == 1


def test_without_blocks_there_is_no_sphere():
    model = network()
    (group,) = param_groups(model, (), lr=0.1, weight_decay=0.01)
    assert group == {
        "params": list(model.parameters()),
        "lr": 0.1,
        "weight_decay": 0.01,
        "kind": "other",
    }


def test_parameters_by_name_do_as_well_as_a_module():
    model = network()
    by_module = param_groups(model, BLOCKS, lr=0.1)
    by_name = param_groups(dict(model.named_parameters()), BLOCKS, lr=0.1)
    assert ids(by_name) == ids(by_module)
    assert by_name[0]["blocks"] == by_module[0]["blocks"]


def test_torch_takes_the_groups():
    optimizer = torch.optim.SGD(param_groups(network(), BLOCKS, lr=0.1), lr=1.0)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1]


# ----------------------------------------------------------------------------------- shared tensors


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4)
        self.second.weight = self.first.weight


def test_a_tied_tensor_of_a_module_is_in_one_group_once():
    model = Tied()
    groups = param_groups(model, [Block(("first.weight",), count=4)], lr=0.1)
    assert ids(groups) == [id(model.first.weight), id(model.second.bias)]
    (group,) = param_groups(model, (), lr=0.1)
    assert ids([group]) == [id(model.first.weight), id(model.second.bias)]


def test_the_second_name_of_a_tied_tensor_is_not_known():
    with pytest.raises(UnknownNameError, match=r"'second.weight'"):
        param_groups(Tied(), [Block(("second.weight",))], lr=0.1)


def twice():
    return dict(Tied().named_parameters(remove_duplicate=False))


@pytest.mark.parametrize("blocks", [(), (Block(("first.weight",)),), (Block(("second.weight",)),)])
def test_a_tensor_with_two_names_is_in_one_group_once(blocks):
    tensors = twice()
    assert sorted(ids(param_groups(tensors, blocks, lr=0.1))) == sorted(
        {id(tensor) for tensor in tensors.values()}
    )


@pytest.mark.parametrize(
    "blocks",
    [
        [Block(("first.weight",)), Block(("second.weight",))],
        [Block(("first.weight", "second.weight"))],
    ],
)
def test_a_tensor_with_two_names_cannot_be_in_blocks_by_both(blocks):
    with pytest.raises(UsageError):
        param_groups(twice(), blocks, lr=0.1)


# ------------------------------------------------------------------------------------------ errors


def test_a_parameter_in_two_blocks_is_refused():
    with pytest.raises(UsageError, match=r"^Parameter '0.weight' is in two blocks"):
        param_groups(network(), [Block(("0.weight",)), Block(("0.weight", "0.bias"))], lr=0.1)


def test_an_unknown_name_is_refused():
    with pytest.raises(UnknownNameError, match=r"'0.wieght'"):
        param_groups(network(), [Block(("0.wieght",))], lr=0.1)


@pytest.mark.parametrize("block", [Block(("0.weight",), count=3), Block(("0.weight",), axis=2)])
def test_a_block_that_cannot_be_cut_is_refused(block):
    with pytest.raises(UsageError, match=r"^Parameter '0.weight' cannot be cut into blocks: `"):
        param_groups(network(), [block], lr=0.1)


def test_the_old_name_of_the_mode_is_refused():
    with pytest.raises(UsageError, match=r"^`step` is called `mode` now.* write mode='angle'\.$"):
        param_groups(network(), BLOCKS, lr=0.1, step="angle")


def test_an_unknown_mode_is_refused():
    with pytest.raises(UsageError, match=r"^`mode` must be one of 'projected', .*, got 'angel'"):
        param_groups(network(), BLOCKS, lr=0.1, mode="angel")


BAD_RADII = ["small", 0, 0.0, -1.0, float("inf"), float("nan"), True, None, (1.0,)]


@pytest.mark.parametrize("radius", BAD_RADII, ids=repr)
def test_groups_are_not_made_with_a_wrong_radius(radius):
    with pytest.raises(UsageError, match=r"^`radius` must be 'unit', 'keep', or a positive num"):
        param_groups(network(), BLOCKS, lr=0.1, radius=radius)


@pytest.mark.parametrize("mark", ["_is_flat_param", "_fsdp_flattened", "ds_id"])
def test_marked_shards_are_refused_among_other_parameters(mark):
    model = network()
    setattr(model[4].bias, mark, 0)
    for own in (model, dict(model.named_parameters())):
        with pytest.raises(UsageError, match=r"\(FSDP1\) and DeepSpeed's stage 3 hold flattened"):
            param_groups(own, BLOCKS, lr=0.1)

import subprocess
import sys

import pytest

from etaeff.records import Trial
from etaeff.studies.engine._architecture import Architecture, role


def architecture(**changes):
    common = {"network": "mlp", "norm": "batch", "in_shape": (3, 4, 5), "width": 8, "classes": 7}
    return Architecture(**(common | changes))


def test_the_mlp_has_two_hidden_layers_and_a_head():
    shapes = architecture()
    assert shapes.weight_shapes == {"hidden1": (8, 60), "hidden2": (8, 8)}
    assert shapes.head_shape == (7, 8)


def test_the_channels_of_the_four_convolutions_double_where_the_resolution_halves():
    shapes = architecture(network="conv")
    assert shapes.weight_shapes == {
        "conv1": (8, 3, 3, 3),
        "conv2": (16, 8, 3, 3),
        "conv3": (16, 16, 3, 3),
        "conv4": (32, 16, 3, 3),
    }
    assert shapes.head_shape == (7, 32)


@pytest.mark.parametrize(
    ("norm", "mlp", "conv", "mlp_size", "conv_size"),
    [
        ("batch", (2,), (2, 3, 4), 60, 72),
        ("weight", (2,), (2, 3, 4), 60, 72),
        ("none", (2,), (2, 3, 4), 60, 72),
        ("layer", (1, 2), (1, 2, 3, 4), 480, 1152),
    ],
)
def test_a_block_is_a_channel_or_under_layer_norm_the_layer(norm, mlp, conv, mlp_size, conv_size):
    dense, image = architecture(norm=norm), architecture(norm=norm, network="conv")
    assert dense.block_dims("hidden1") == mlp
    assert image.block_dims("conv2") == conv
    assert dense.block_size("hidden1") == mlp_size
    assert image.block_size("conv2") == conv_size


def test_a_trial_says_its_architecture():
    trial = Trial.of(
        data="digits", train_size=20, batch_size=5, lr=0.1, steps=1,
        network="conv", norm="layer", width=4,
    )  # fmt: skip
    expected = architecture(network="conv", norm="layer", width=4)
    assert Architecture.of(trial, (3, 4, 5), 7) == expected


def test_a_name_says_the_role():
    names = ("conv1", "hidden2", "hidden2.gain", "hidden2.shift", "head", "head.shift")
    roles = ["weight", "weight", "gain", "shift", "head", "shift"]
    assert [role(name) for name in names] == roles


def test_shapes_need_no_torch():
    code = (
        "import etaeff.studies.engine._architecture, etaeff.studies._study, sys; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

"""ResNet and ConvNeXt of transformers."""

from typing import Final

from etaeff.geometry import Block
from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._hugging_face._model import (
    CLASSIFIER,
    PICTURES,
    Logits,
    both,
    each,
    pictures,
)

STEM, RESNET = "m.resnet.embedder.embedder", "m.resnet.encoder.stages"
FILTERS: Final = {
    STEM: 4,
    f"{RESNET}.0.layers.0.layer.0": 4,
    f"{RESNET}.0.layers.0.layer.1": 4,
    f"{RESNET}.1.layers.0.layer.0": 6,
    f"{RESNET}.1.layers.0.layer.1": 6,
    f"{RESNET}.1.layers.0.shortcut": 6,
}
CONVNEXT: Final = "m.convnext.encoder.stages"

CASES: Final = (
    Case(
        name="ResNetForImageClassification",
        because="Batch Normalization forgets each row of the convolution before it; the first norm "
        "of a block is read by its second convolution alone; those of the stem and of the first "
        "sum are added, and read by normalised convolutions; those of the last sum go together "
        "against the classifier.",
        build=lambda: Logits(
            "ResNet",
            "ForImageClassification",
            embedding_size=4,
            hidden_sizes=[4, 6],
            depths=[1, 1],
            layer_type="basic",
            **PICTURES,
        ),
        inputs=pictures(32, batch=4),
        symmetries=(
            *(f"{layer}.convolution.weight" for layer in FILTERS),
            f"{RESNET}.0.layers.0.layer.0.normalization.*",
            f"{RESNET}.1.layers.0.layer.0.normalization.*",
            f"{STEM}.normalization.* {RESNET}.0.layers.0.layer.1.normalization.*",
            f"{RESNET}.1.layers.0.layer.1.normalization.*"
            f" {RESNET}.1.layers.0.shortcut.normalization.* / m.classifier.1.weight",
        ),
        blocks=(
            *(Block((f"{layer}.convolution.weight",), count=n) for layer, n in FILTERS.items()),
            *(Block(both(f"{RESNET}.{i}.layers.0.layer.0.normalization")) for i in (0, 1)),
            Block(
                both(f"{STEM}.normalization", f"{RESNET}.0.layers.0.layer.1.normalization"),
            ),
        ),
        homogeneous=("m.classifier.1.*", 1),
        lr="*.convolution.weight",
        balances="m.classifier.1.weight",
    ),
    Case(
        name="ConvNextForImageClassification",
        because="Two streams, before and after the convolution that halves the picture, whose norm "
        "goes against it; in each block the depthwise convolution is forgotten by its norm, that "
        "norm goes against pwconv1, pwconv2 against the layer scale; the depthwise bias follows "
        "the stream.",
        build=lambda: Logits(
            "ConvNext",
            "ForImageClassification",
            patch_size=2,
            num_stages=2,
            hidden_sizes=[4, 6],
            depths=[1, 1],
            drop_path_rate=0.0,
            layer_scale_init_value=0.5,
            **PICTURES,
        ),
        inputs=pictures(8),
        symmetries=(
            "m.convnext.embeddings.patch_embeddings.*",
            *each(f"{CONVNEXT}.@.layers.0.dwconv.*"),
            *each(f"{CONVNEXT}.@.layers.0.layernorm.* / {CONVNEXT}.@.layers.0.pwconv1.weight"),
            *each(f"{CONVNEXT}.@.layers.0.pwconv2.* / {CONVNEXT}.@.layers.0.layer_scale_parameter"),
            f"m.convnext.embeddings.layernorm.* {CONVNEXT}.0.layers.0.dwconv.bias"
            f" {CONVNEXT}.0.layers.0.layer_scale_parameter",
            f"{CONVNEXT}.1.downsampling_layer.0.* / {CONVNEXT}.1.downsampling_layer.1.weight",
            f"{CONVNEXT}.1.downsampling_layer.1.* {CONVNEXT}.1.layers.0.dwconv.bias"
            f" {CONVNEXT}.1.layers.0.layer_scale_parameter",
            "m.convnext.layernorm.* / m.classifier.weight",
        ),
        blocks=(
            Block(both("m.convnext.embeddings.patch_embeddings")),
            Block(both(f"{CONVNEXT}.0.layers.0.dwconv")),
            Block(both(f"{CONVNEXT}.1.layers.0.dwconv")),
        ),
        homogeneous=CLASSIFIER,
        lr="m.convnext.embeddings.patch_embeddings.* *.dwconv.weight",
        balances="*.layers.0.layernorm.* *.pwconv1.weight m.convnext.layernorm.* "
        "m.classifier.weight",
    ),
)

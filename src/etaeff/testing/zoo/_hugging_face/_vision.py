"""ViT and Swin of transformers."""

from typing import Final

from etaeff.geometry import Block
from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._hugging_face._model import (
    ATTENTION,
    CLASSIFIER,
    PICTURES,
    Logits,
    both,
    each,
    pictures,
)

VIT: Final = "m.vit.layers.@"
VIT_STREAM: Final = (
    "m.vit.embeddings.cls_token",
    "m.vit.embeddings.position_embeddings",
    *both("m.vit.embeddings.patch_embeddings.projection"),
    *(
        name
        for i in (0, 1)
        for name in both(f"m.vit.layers.{i}.attention.o_proj", f"m.vit.layers.{i}.mlp.fc2")
    ),
)

SWIN: Final = "m.swin.encoder.layers"
SWIN_BLOCKS: Final = ("0.blocks.0", "0.blocks.1", "1.blocks.0")


def block_symmetries(block: str) -> tuple[str, ...]:
    """What rescales in a pre-norm block; the bias of its keys is inert besides."""
    reads = " ".join(f"{block}.attention.{name}_proj.weight" for name in "qkv")
    return (
        f"{block}.layernorm_before.* / {reads}",
        f"{block}.attention.q_proj.* / {block}.attention.k_proj.weight",
        f"{block}.attention.v_proj.* / {block}.attention.o_proj.weight",
        f"{block}.layernorm_after.* / {block}.mlp.fc1.weight",
    )


def swin_writes(block: str) -> tuple[str, ...]:
    """What a block adds to its stream."""
    return both(f"{SWIN}.{block}.attention.o_proj", f"{SWIN}.{block}.mlp.fc2")


SWIN_FIRST: Final = (
    *both("m.swin.embeddings.norm"),
    *swin_writes("0.blocks.0"),
    *swin_writes("0.blocks.1"),
)
SWIN_SECOND: Final = (f"{SWIN}.0.downsample.reduction.weight", *swin_writes("1.blocks.0"))

CASES: Final = (
    Case(
        name="ViTForImageClassification",
        because="Every norm forgets the scale of the stream, to which embeddings, o_proj and fc2 "
        "add; each norm goes against what reads it, q against k, v against o; GELU fixes the "
        "scale of fc1, softmax forgets the bias of the keys.",
        build=lambda: Logits(
            "ViT",
            "ForImageClassification",
            hidden_size=8,
            num_hidden_layers=2,
            image_size=8,
            patch_size=4,
            **ATTENTION,
            **PICTURES,
        ),
        inputs=pictures(8),
        symmetries=(
            " ".join(VIT_STREAM),
            *(text for template in block_symmetries(VIT) for text in each(template)),
            "m.vit.layernorm.* / m.classifier.weight",
        ),
        inert=" ".join(each(f"{VIT}.attention.k_proj.bias")),
        blocks=(Block(VIT_STREAM),),
        homogeneous=CLASSIFIER,
        lr="m.vit.embeddings.* *.v_proj.* *.o_proj.* *.fc2.*",
        balances="*.layernorm* *.q_proj.* *.k_proj.weight *.fc1.weight m.classifier.weight",
    ),
    Case(
        name="SwinForImageClassification",
        because="The patches feed a norm, and two streams begin at that norm and where the picture "
        "is halved, whose own norm goes against its weight; blocks are those of ViT, and tables of "
        "relative positions are added to scores, which have a scale.",
        build=lambda: Logits(
            "Swin",
            "ForImageClassification",
            image_size=16,
            patch_size=2,
            embed_dim=8,
            depths=[2, 1],
            num_heads=[2, 2],
            window_size=2,
            drop_path_rate=0.0,
            **PICTURES,
        ),
        inputs=pictures(16),
        symmetries=(
            "m.swin.embeddings.patch_embeddings.projection.*",
            " ".join(SWIN_FIRST),
            " ".join(SWIN_SECOND),
            *(text for block in SWIN_BLOCKS for text in block_symmetries(f"{SWIN}.{block}")),
            f"{SWIN}.0.downsample.norm.* / {SWIN}.0.downsample.reduction.weight",
            "m.swin.layernorm.* / m.classifier.weight",
        ),
        inert=" ".join(f"{SWIN}.{block}.attention.k_proj.bias" for block in SWIN_BLOCKS),
        blocks=(
            Block(both("m.swin.embeddings.patch_embeddings.projection")),
            Block(SWIN_FIRST),
            Block(SWIN_SECOND),
        ),
        homogeneous=CLASSIFIER,
        lr="m.swin.embeddings.* *.v_proj.* *.o_proj.* *.fc2.* *.downsample.norm.*",
        balances="*.layernorm* *.q_proj.* *.k_proj.weight *.fc1.weight m.classifier.weight",
    ),
)

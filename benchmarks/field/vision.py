"""Models of pictures of transformers, in their default call."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch

from field._families import configured, of, pictures
from field._model import Built, FieldModel

KIND: Final = "model of pictures"
VIT: Final[dict[str, Any]] = {
    "image_size": 16,
    "patch_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 24,
}
STAGES: Final[dict[str, Any]] = {"hidden_sizes": [8, 16], "depths": [1, 1]}
CLASSES: Final = {"num_labels": 3}


def _transformer(model: str, family: str, **settings: Any) -> FieldModel:
    """A family that is built like ViT."""
    return of(KIND, model, f"{family}Config", pictures(), **{**VIT, **CLASSES, **settings})


def _convolutional(
    model: str, family: str, inputs: Callable[[], Any] | None = None, **settings: Any
) -> FieldModel:
    """A family of convolutions."""
    inputs = inputs or pictures(32, batch=4)
    return of(KIND, model, f"{family}Config", inputs, **{**CLASSES, **settings})


def _two_inputs(texts: int = 3) -> dict[str, torch.Tensor]:
    """A picture, and the texts to compare it with."""
    return {
        "input_ids": torch.randint(3, 31, (texts, 6)),
        "pixel_values": torch.randn(2, 3, 16, 16),
    }


def _masked() -> Built:
    """A masked autoencoder, whose table of positions is frozen and zero before it is loaded."""
    model, args, kwargs = _transformer("ViTMAEModel", "ViTMAE").build()
    with torch.no_grad():
        model.embeddings.position_embeddings.normal_()
    return model, args, kwargs


SMALL_TEXT: Final[dict[str, Any]] = {
    "vocab_size": 31,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "max_position_embeddings": 16,
}

MODELS: Final = (
    _transformer("ViTForImageClassification", "ViT"),
    _transformer("DeiTForImageClassification", "DeiT"),
    _transformer("BeitForImageClassification", "Beit", layer_scale_init_value=0.1),
    _transformer("Data2VecVisionModel", "Data2VecVision"),
    _transformer("Dinov2ForImageClassification", "Dinov2"),
    _transformer("Dinov2WithRegistersModel", "Dinov2WithRegisters"),
    _transformer("DINOv3ViTModel", "DINOv3ViT", num_register_tokens=2),
    _transformer("YolosForObjectDetection", "Yolos", image_size=[16, 16], num_detection_tokens=3),
    FieldModel("ViTMAEModel", KIND, _masked),
    _transformer("ViTMSNModel", "ViTMSN"),
    _transformer("IJepaModel", "IJepa"),
    _transformer("DPTModel", "DPT", is_hybrid=False),
    of(KIND, "SwinForImageClassification", "SwinConfig", pictures(), image_size=16, patch_size=2,
       embed_dim=8, depths=[1, 1], num_heads=[2, 4], window_size=4, **CLASSES),
    of(KIND, "Swinv2ForImageClassification", "Swinv2Config", pictures(), image_size=16,
       patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[2, 4], window_size=4, **CLASSES),
    of(KIND, "HieraModel", "HieraConfig", pictures(), image_size=[16, 16], embed_dim=8,
       depths=[1, 1], num_heads=[1, 2], patch_size=[3, 3], patch_stride=[2, 2],
       patch_padding=[1, 1], masked_unit_size=[4, 4], query_stride=[2, 2], num_query_pool=1,
       mlp_ratio=2.0),
    _convolutional("ConvNextForImageClassification", "ConvNext", num_stages=2, **STAGES),
    _convolutional("ConvNextV2ForImageClassification", "ConvNextV2", num_stages=2, **STAGES),
    _convolutional("ResNetForImageClassification", "ResNet", embedding_size=8,
                   layer_type="bottleneck", **STAGES),
    _convolutional("RegNetForImageClassification", "RegNet", embedding_size=8, groups_width=4,
                   **STAGES),
    _convolutional("BitForImageClassification", "Bit", embedding_size=8, num_groups=4, **STAGES),
    _convolutional("FocalNetForImageClassification", "FocalNet", image_size=32, embed_dim=8,
                   focal_levels=[1, 1], focal_windows=[3, 3], depths=[1, 1],
                   hidden_sizes=[8, 16]),
    _convolutional("EfficientNetForImageClassification", "EfficientNet", image_size=32,
                   width_coefficient=0.25, depth_coefficient=0.2, kernel_sizes=[3, 3],
                   in_channels=[32, 16], out_channels=[16, 24], strides=[1, 2],
                   num_block_repeats=[1, 1], expand_ratios=[1, 6], hidden_dim=320,
                   depthwise_padding=[]),
    _convolutional("MobileNetV1ForImageClassification", "MobileNetV1", depth_multiplier=0.0625,
                   min_depth=4, image_size=32),
    _convolutional("PoolFormerForImageClassification", "PoolFormer", pictures(64),
                   hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1]),
    _convolutional("PvtForImageClassification", "Pvt", pictures(64), image_size=64,
                   depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 8, 8], num_attention_heads=[1, 2, 2, 2],
                   mlp_ratios=[2, 2, 2, 2]),
    _convolutional("SegformerForImageClassification", "Segformer", num_encoder_blocks=2,
                   depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 16], patch_sizes=[7, 3],
                   strides=[4, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2],
                   decoder_hidden_size=8),
    _convolutional("SwiftFormerForImageClassification", "SwiftFormer", image_size=32,
                   depths=[1, 1, 1, 1], embed_dims=[8, 8, 8, 8], mlp_ratio=2),
    of(KIND, "DetrForObjectDetection", "DetrConfig", pictures(32), use_timm_backbone=False,
       use_pretrained_backbone=False, backbone=None, num_queries=4, d_model=16, encoder_layers=1,
       decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24,
       decoder_ffn_dim=24, **CLASSES,
       backbone_config=configured("ResNetConfig", embedding_size=8, hidden_sizes=[8, 16],
                                  depths=[1, 1], out_features=["stage2"], layer_type="basic")),
    of(KIND, "CLIPModel", "CLIPConfig", _two_inputs, text_config=SMALL_TEXT, vision_config=VIT,
       projection_dim=8),
    of(KIND, "SiglipModel", "SiglipConfig", _two_inputs, text_config=SMALL_TEXT,
       vision_config=VIT),
    of(KIND, "GitForCausalLM", "GitConfig", partial(_two_inputs, 2), **SMALL_TEXT,
       vision_config=VIT),
)  # fmt: skip

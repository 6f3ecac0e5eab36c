"""Models of sound, of series and of other things of transformers, in their default call."""

from typing import Any, Final

import torch

from field._families import TEXT, WORDS, ids, of, sound
from field._model import FieldModel

KIND: Final = "model of sound"
SERIES: Final = "model of series"
SPEECH: Final[dict[str, Any]] = {
    "vocab_size": 13,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "conv_dim": [8, 8],
    "conv_stride": [4, 4],
    "conv_kernel": [8, 8],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
}


def _speech(model: str, family: str, **settings: Any) -> FieldModel:
    """A family that is built like Wav2Vec2."""
    return of(KIND, model, f"{family}Config", sound(), **{**SPEECH, **settings})


def _spectrum(frames: int, bands: int = 8) -> dict[str, torch.Tensor]:
    """Bands over time, and tokens of what is said."""
    return {
        "input_features": torch.randn(2, bands, frames),
        "decoder_input_ids": torch.randint(3, WORDS, (2, 6)),
    }


def _series() -> dict[str, torch.Tensor]:
    """A few channels over time."""
    return {"past_values": torch.randn(3, 16, 2)}


MODELS: Final = (
    _speech("Wav2Vec2Model", "Wav2Vec2", mask_time_length=2),
    _speech("Wav2Vec2ForCTC", "Wav2Vec2", mask_time_length=2, feat_extract_norm="layer",
            do_stable_layer_norm=True),
    _speech("HubertModel", "Hubert", mask_time_length=2),
    _speech("WavLMModel", "WavLM", mask_time_length=2),
    _speech("UniSpeechSatModel", "UniSpeechSat", mask_time_length=2),
    _speech("SEWModel", "SEW", squeeze_factor=2, mask_time_length=2),
    _speech("SEWDModel", "SEWD", squeeze_factor=2, mask_time_length=2, max_position_embeddings=64,
            position_buckets=4),
    _speech("Data2VecAudioModel", "Data2VecAudio", mask_time_length=2, conv_pos_kernel_size=3),
    of(KIND, "WhisperForConditionalGeneration", "WhisperConfig", lambda: _spectrum(32),
       vocab_size=WORDS, d_model=16, encoder_layers=1, decoder_layers=1,
       encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=24,
       decoder_ffn_dim=24, num_mel_bins=8, max_source_positions=16, max_target_positions=16,
       pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
       suppress_tokens=None, begin_suppress_tokens=None),
    of(KIND, "ASTModel", "ASTConfig", lambda: (torch.randn(2, 16, 8),), hidden_size=16,
       num_hidden_layers=1, num_attention_heads=4, intermediate_size=24, patch_size=4,
       frequency_stride=4, time_stride=4, max_length=16, num_mel_bins=8),
    # Not VITS: how long its sound is depends on its weights; drawn anew they ask for hours of it.
    of(KIND, "EncodecModel", "EncodecConfig", lambda: (torch.randn(2, 1, 64),),
       upsampling_ratios=[2, 2], num_filters=4, hidden_size=8, codebook_size=8, codebook_dim=8,
       num_lstm_layers=1, target_bandwidths=[96.0], sampling_rate=24000),
    of(SERIES, "PatchTSTModel", "PatchTSTConfig", _series, num_input_channels=2,
       context_length=16, patch_length=4, patch_stride=4, d_model=8, num_attention_heads=2,
       num_hidden_layers=1, ffn_dim=12),
    of(SERIES, "PatchTSMixerModel", "PatchTSMixerConfig", _series, num_input_channels=2,
       context_length=16, patch_length=4, patch_stride=4, d_model=8, num_layers=1),
    of(SERIES, "DecisionTransformerModel", "DecisionTransformerConfig", lambda: {
        "states": torch.randn(2, 4, 3), "actions": torch.randn(2, 4, 2),
        "rewards": torch.randn(2, 4, 1), "returns_to_go": torch.randn(2, 4, 1),
        "timesteps": torch.arange(4).expand(2, 4), "attention_mask": torch.ones(2, 4).long()},
       state_dim=3, act_dim=2, hidden_size=16, max_ep_len=8, n_layer=1, n_head=4, n_positions=32),
    of(SERIES, "RecurrentGemmaForCausalLM", "RecurrentGemmaConfig", ids(), **{
        **TEXT, "num_hidden_layers": 2, "head_dim": 4, "lru_width": 16,
        "block_types": ["recurrent", "attention"]}),
)  # fmt: skip

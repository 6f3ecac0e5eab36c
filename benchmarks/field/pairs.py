"""Encoders with decoders of transformers: text to text, in their default call."""

from typing import Any, Final

from field._families import WORDS, ids, of
from field._model import FieldModel

KIND: Final = "encoder and decoder"
BOTH: Final = ids("input_ids", "decoder_input_ids")
HALVES: Final[dict[str, Any]] = {
    "vocab_size": WORDS,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": 2,
}
T5: Final[dict[str, Any]] = {
    "vocab_size": WORDS,
    "d_model": 16,
    "d_kv": 4,
    "d_ff": 24,
    "num_layers": 1,
    "num_decoder_layers": 1,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}


def _generation(family: str, **settings: Any) -> FieldModel:
    """A family that is built like BART."""
    config = f"{family}Config"
    return of(KIND, f"{family}ForConditionalGeneration", config, BOTH, **{**HALVES, **settings})


MODELS: Final = (
    of(KIND, "T5ForConditionalGeneration", "T5Config", BOTH, **T5),
    of(KIND, "MT5ForConditionalGeneration", "MT5Config", BOTH, **T5),
    of(KIND, "UMT5ForConditionalGeneration", "UMT5Config", BOTH, **T5),
    of(KIND, "LongT5ForConditionalGeneration", "LongT5Config", BOTH, **T5, local_radius=3),
    _generation("Bart"),
    _generation("MBart"),
    _generation("Pegasus"),
    _generation("Blenderbot"),
    _generation("BlenderbotSmall"),
    _generation("M2M100"),
    _generation("PLBart"),
    of(KIND, "MarianMTModel", "MarianConfig", BOTH, **HALVES),
    of(KIND, "FSMTForConditionalGeneration", "FSMTConfig", BOTH,
       langs=["en", "de"], src_vocab_size=WORDS, tgt_vocab_size=WORDS,
       **{k: v for k, v in HALVES.items() if k != "vocab_size"}),
    of(KIND, "ProphetNetForConditionalGeneration", "ProphetNetConfig", BOTH,
       vocab_size=WORDS, hidden_size=16, encoder_ffn_dim=24, decoder_ffn_dim=24,
       num_encoder_layers=1, num_decoder_layers=1, num_encoder_attention_heads=4,
       num_decoder_attention_heads=4, max_position_embeddings=32, num_buckets=4,
       relative_max_distance=8),
)  # fmt: skip

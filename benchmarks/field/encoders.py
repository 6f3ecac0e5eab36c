"""Encoders of text of transformers, in their default call."""

from typing import Any, Final

from field._families import TEXT, WORDS, ids, of
from field._model import FieldModel

KIND: Final = "encoder of text"


def _encoder(model: str, family: str, **settings: Any) -> FieldModel:
    """A family with the settings that most have."""
    return of(KIND, model, f"{family}Config", ids(), **{**TEXT, **settings})


MODELS: Final = (
    _encoder("BertForMaskedLM", "Bert"),
    _encoder("BertForSequenceClassification", "Bert"),
    _encoder("RobertaModel", "Roberta", max_position_embeddings=40),
    _encoder("RobertaPreLayerNormForMaskedLM", "RobertaPreLayerNorm", max_position_embeddings=40),
    _encoder("XLMRobertaForMaskedLM", "XLMRoberta", max_position_embeddings=40),
    _encoder("CamembertForMaskedLM", "Camembert", max_position_embeddings=40),
    _encoder("AlbertForMaskedLM", "Albert", embedding_size=8),
    of(KIND, "DistilBertForMaskedLM", "DistilBertConfig", ids(),
       vocab_size=WORDS, dim=16, hidden_dim=24, n_layers=1, n_heads=4, max_position_embeddings=32),
    _encoder("ElectraForPreTraining", "Electra", embedding_size=8),
    _encoder("DebertaModel", "Deberta", relative_attention=True, pos_att_type=["c2p", "p2c"]),
    _encoder("DebertaV2ForMaskedLM", "DebertaV2", relative_attention=True,
             pos_att_type=["c2p", "p2c"], position_buckets=4),
    _encoder("MPNetForMaskedLM", "MPNet", max_position_embeddings=40),
    of(KIND, "XLNetLMHeadModel", "XLNetConfig", ids(),
       vocab_size=WORDS, d_model=16, n_layer=1, n_head=4, d_inner=24),
    of(KIND, "XLMWithLMHeadModel", "XLMConfig", ids(),
       vocab_size=WORDS, emb_dim=16, n_layers=1, n_heads=4, max_position_embeddings=32),
    of(KIND, "FlaubertWithLMHeadModel", "FlaubertConfig", ids(),
       vocab_size=WORDS, emb_dim=16, n_layers=1, n_heads=4, max_position_embeddings=32),
    _encoder("LongformerForMaskedLM", "Longformer", attention_window=4, max_position_embeddings=40),
    _encoder("BigBirdForMaskedLM", "BigBird", attention_type="original_full"),
    _encoder("ErnieModel", "Ernie"),
    _encoder("EsmForMaskedLM", "Esm", position_embedding_type="rotary", mask_token_id=3),
    _encoder("ConvBertModel", "ConvBert", embedding_size=16),
    _encoder("SqueezeBertModel", "SqueezeBert", embedding_size=16),
    _encoder("MobileBertModel", "MobileBert", embedding_size=16, intra_bottleneck_size=8,
             true_hidden_size=8),
    of(KIND, "FunnelModel", "FunnelConfig", ids(),
       vocab_size=WORDS, block_sizes=[1, 1], d_model=16, n_head=4, d_head=4, d_inner=24,
       num_decoder_layers=1),
    of(KIND, "FNetForMaskedLM", "FNetConfig", ids(), **{**TEXT, "type_vocab_size": 2}),
    _encoder("NystromformerForMaskedLM", "Nystromformer", num_landmarks=4, segment_means_seq_len=8),
    _encoder("RoFormerForMaskedLM", "RoFormer"),
    _encoder("RemBertForMaskedLM", "RemBert", input_embedding_size=8, output_embedding_size=8),
    _encoder("ModernBertForMaskedLM", "ModernBert", cls_token_id=3, sep_token_id=4),
    of(KIND, "CanineModel", "CanineConfig", ids(length=16),
       **{**TEXT, "num_hash_buckets": 32, "downsampling_rate": 4, "local_transformer_stride": 8}),
    of(KIND, "PerceiverForMaskedLM", "PerceiverConfig", ids(length=8),
       vocab_size=WORDS, d_model=8, d_latents=8, num_latents=4, num_blocks=1,
       num_self_attends_per_block=1, num_self_attention_heads=2, num_cross_attention_heads=2,
       max_position_embeddings=8, qk_channels=8, v_channels=8),
)  # fmt: skip

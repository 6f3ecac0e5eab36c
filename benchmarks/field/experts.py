"""Mixtures of experts of transformers, in their default call."""

from typing import Final

from field._families import TEXT, WORDS, ids, of
from field._model import FieldModel

KIND: Final = "mixture of experts"
FEW: Final = {**TEXT, "num_key_value_heads": 2}


def _causal(family: str, **settings: object) -> FieldModel:
    """A family whose classes are called as most are."""
    given = {**FEW, **settings}
    return of(KIND, f"{family}ForCausalLM", f"{family}Config", ids(length=12), **given)


MODELS: Final = (
    _causal("Mixtral", num_local_experts=4, num_experts_per_tok=2),
    _causal("Qwen2Moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=12,
            shared_expert_intermediate_size=12, decoder_sparse_step=1),
    _causal("Qwen3Moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=12, head_dim=4),
    _causal("Olmoe", num_experts=4, num_experts_per_tok=2),
    _causal("GptOss", num_local_experts=4, num_experts_per_tok=2, head_dim=4,
            layer_types=["full_attention"]),
    _causal("DeepseekV2", n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=12,
            n_shared_experts=1, first_k_dense_replace=0, n_group=1, topk_group=1, q_lora_rank=8,
            kv_lora_rank=8, qk_nope_head_dim=4, qk_rope_head_dim=4, v_head_dim=4, head_dim=4,
            num_key_value_heads=4),
    _causal("DeepseekV3", n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=12,
            n_shared_experts=1, first_k_dense_replace=0, n_group=1, topk_group=1, q_lora_rank=8,
            kv_lora_rank=8, qk_nope_head_dim=4, qk_rope_head_dim=4, v_head_dim=4, head_dim=4,
            num_key_value_heads=4),
    _causal("Glm4Moe", n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=12,
            n_shared_experts=1, first_k_dense_replace=0, n_group=1, topk_group=1, head_dim=4),
    _causal("Phimoe", num_local_experts=4, num_experts_per_tok=2),
    _causal("GraniteMoe", num_local_experts=4, num_experts_per_tok=2),
    of(KIND, "JambaForCausalLM", "JambaConfig", ids(length=12), **{
        **FEW, "num_hidden_layers": 2, "attn_layer_period": 2, "attn_layer_offset": 1,
        "expert_layer_period": 2, "expert_layer_offset": 1, "num_experts": 4, "mamba_d_state": 4,
        "mamba_dt_rank": 4, "use_mamba_kernels": False}),
    of(KIND, "SwitchTransformersForConditionalGeneration", "SwitchTransformersConfig",
       ids("input_ids", "decoder_input_ids"), vocab_size=WORDS, d_model=16, d_kv=4, d_ff=24,
       num_layers=2, num_decoder_layers=2, num_sparse_encoder_layers=1,
       num_sparse_decoder_layers=1, num_heads=4, num_experts=3, decoder_start_token_id=0),
    of(KIND, "NllbMoeForConditionalGeneration", "NllbMoeConfig",
       ids("input_ids", "decoder_input_ids"), vocab_size=WORDS, d_model=16, encoder_layers=1,
       decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=24,
       decoder_ffn_dim=24, num_experts=3, encoder_sparse_step=1, decoder_sparse_step=1,
       max_position_embeddings=32, expert_capacity=8, pad_token_id=0),
)  # fmt: skip

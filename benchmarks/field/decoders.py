"""Causal language models of transformers in their default call: with a cache, in training mode."""

from typing import Any, Final

from field._families import TEXT, WORDS, ids, of
from field._model import FieldModel

KIND: Final = "causal language model"
GROUPED: Final[dict[str, Any]] = {**TEXT, "num_key_value_heads": 2}


def _causal(family: str, **settings: Any) -> FieldModel:
    """A family whose classes and settings are called as most are."""
    given = {**GROUPED, **settings}
    return of(KIND, f"{family}ForCausalLM", f"{family}Config", ids(), **given)


MODELS: Final = (
    of(KIND, "GPT2LMHeadModel", "GPT2Config", ids(),
       vocab_size=WORDS, n_embd=16, n_layer=2, n_head=4, n_positions=32),
    of(KIND, "GPTNeoForCausalLM", "GPTNeoConfig", ids(),
       vocab_size=WORDS, hidden_size=16, num_layers=2, num_heads=4, max_position_embeddings=32,
       attention_types=[[["global", "local"], 1]], window_size=4),
    of(KIND, "GPTNeoXForCausalLM", "GPTNeoXConfig", ids(), **TEXT),
    of(KIND, "GPTJForCausalLM", "GPTJConfig", ids(),
       vocab_size=WORDS, n_embd=16, n_layer=1, n_head=4, n_positions=32, rotary_dim=4),
    of(KIND, "CodeGenForCausalLM", "CodeGenConfig", ids(),
       vocab_size=WORDS, n_embd=16, n_layer=1, n_head=4, n_positions=32, rotary_dim=4),
    of(KIND, "GPTBigCodeForCausalLM", "GPTBigCodeConfig", ids(),
       vocab_size=WORDS, n_embd=16, n_layer=1, n_head=4, n_positions=32),
    of(KIND, "OPTForCausalLM", "OPTConfig", ids(),
       vocab_size=WORDS, hidden_size=16, ffn_dim=24, num_hidden_layers=1, num_attention_heads=4,
       max_position_embeddings=32, word_embed_proj_dim=16),
    of(KIND, "BloomForCausalLM", "BloomConfig", ids(),
       vocab_size=WORDS, hidden_size=16, n_layer=1, n_head=4),
    of(KIND, "FalconForCausalLM", "FalconConfig", ids(),
       vocab_size=WORDS, hidden_size=16, num_hidden_layers=1, num_attention_heads=4),
    of(KIND, "XGLMForCausalLM", "XGLMConfig", ids(),
       vocab_size=WORDS, d_model=16, ffn_dim=24, num_layers=1, attention_heads=4,
       max_position_embeddings=32),
    of(KIND, "BioGptForCausalLM", "BioGptConfig", ids(), **TEXT),
    of(KIND, "CTRLLMHeadModel", "CTRLConfig", ids(),
       vocab_size=WORDS, n_positions=32, n_embd=16, dff=24, n_layer=1, n_head=4),
    of(KIND, "OpenAIGPTLMHeadModel", "OpenAIGPTConfig", ids(),
       vocab_size=WORDS, n_positions=32, n_embd=16, n_layer=1, n_head=4),
    of(KIND, "PhiForCausalLM", "PhiConfig", ids(), **TEXT),
    _causal("Phi3"),
    _causal("Starcoder2"),
    _causal("StableLm"),
    _causal("Persimmon"),
    _causal("Llama"),
    _causal("Mistral"),
    _causal("Qwen2"),
    _causal("Qwen3", head_dim=4),
    _causal("Gemma", head_dim=4),
    _causal("Gemma2", head_dim=4),
    of(KIND, "Gemma3ForCausalLM", "Gemma3TextConfig", ids(), **GROUPED, head_dim=4),
    _causal("Olmo"),
    _causal("Olmo2"),
    _causal("Cohere"),
    _causal("Glm", head_dim=4),
    _causal("Granite"),
    _causal("Nemotron"),
    _causal("SmolLM3"),
    _causal("Helium", head_dim=4),
    of(KIND, "MambaForCausalLM", "MambaConfig", ids(),
       vocab_size=WORDS, hidden_size=8, num_hidden_layers=1, state_size=4),
    of(KIND, "Mamba2ForCausalLM", "Mamba2Config", ids(),
       vocab_size=WORDS, hidden_size=8, num_hidden_layers=1, state_size=4, num_heads=4, head_dim=4,
       n_groups=1, chunk_size=4),
    of(KIND, "RwkvForCausalLM", "RwkvConfig", ids(),
       vocab_size=WORDS, hidden_size=8, num_hidden_layers=2, attention_hidden_size=8,
       intermediate_size=12),
)  # fmt: skip

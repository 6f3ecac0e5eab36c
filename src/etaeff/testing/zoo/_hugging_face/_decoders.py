"""Causal language models of transformers: GPT-2, Llama, Qwen3, Mixtral, Mamba."""

from collections.abc import Callable
from typing import Any, Final

from torch import nn

from etaeff.geometry import Block
from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._hugging_face._model import ATTENTION, CAUSAL, Logits, both, each
from etaeff.testing.zoo._parts import tokens

GPT2: Final = "m.transformer.h.@"
GPT2_STREAM: Final = (
    "m.transformer.wte.weight",
    "m.transformer.wpe.weight",
    *(
        name
        for i in (0, 1)
        for name in both(f"m.transformer.h.{i}.attn.c_proj", f"m.transformer.h.{i}.mlp.c_proj")
    ),
)
GPT2_LAYERS: Final = (
    *each(f"{GPT2}.ln_1.* / {GPT2}.attn.c_attn.weight"),
    *each(f"{GPT2}.ln_2.* / {GPT2}.mlp.c_fc.weight"),
)

LAYER: Final = "m.model.layers.@"
HEAD: Final = ("m.lm_head.weight", 1)
STREAM: Final = (
    "m.model.embed_tokens.weight",
    *(
        f"m.model.layers.{i}.{name}.weight"
        for i in (0, 1)
        for name in ("self_attn.o_proj", "mlp.down_proj")
    ),
)
FEED_FORWARD: Final = (
    *each(
        f"{LAYER}.post_attention_layernorm.weight"
        f" / {LAYER}.mlp.gate_proj.weight {LAYER}.mlp.up_proj.weight"
    ),
    *each(f"{LAYER}.mlp.up_proj.weight / {LAYER}.mlp.down_proj.weight"),
)
LAST_NORM: Final = "m.model.norm.weight / m.lm_head.weight"
READS: Final = " ".join(f"{LAYER}.self_attn.{name}_proj.weight" for name in "qkv")
FIRST_NORM: Final = each(f"{LAYER}.input_layernorm.weight / {READS}")
SCORES: Final = each(f"{LAYER}.self_attn.q_proj.weight / {LAYER}.self_attn.k_proj.weight")
VALUES: Final = each(f"{LAYER}.self_attn.v_proj.weight / {LAYER}.self_attn.o_proj.weight")

MAMBA: Final = "m.backbone.layers.@"
MAMBA_STREAM: Final = (
    "m.backbone.embeddings.weight",
    "m.backbone.layers.0.mixer.out_proj.weight",
    "m.backbone.layers.1.mixer.out_proj.weight",
)


def gpt2(**settings: Any) -> Callable[[], nn.Module]:
    return lambda: Logits(
        "GPT2",
        "LMHeadModel",
        vocab_size=11,
        n_positions=8,
        n_embd=8,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
        **settings,
    )


CASES: Final = (
    Case(
        name="GPT2LMHeadModel, tied",
        because="q, k and v are one tensor, whose scale the scores fix up to the norm before it; "
        "GELU fixes c_fc up to the norm before it; the embedding is the head, so that the stream "
        "goes against gain and shift of the last norm.",
        build=gpt2(),
        inputs=tokens("input_ids", 11, 6),
        symmetries=(" ".join(GPT2_STREAM) + " / m.transformer.ln_f.*", *GPT2_LAYERS),
        homogeneous=("m.transformer.ln_f.*", 1),
        balances="*",
    ),
    Case(
        name="GPT2LMHeadModel, untied",
        because="As with a tied head, but the stream is forgotten by the last norm, which goes "
        "against the head.",
        build=gpt2(tie_word_embeddings=False),
        inputs=tokens("input_ids", 11, 6),
        symmetries=(
            " ".join(GPT2_STREAM),
            *GPT2_LAYERS,
            "m.transformer.ln_f.* / m.lm_head.weight",
        ),
        blocks=(Block(GPT2_STREAM),),
        homogeneous=HEAD,
        lr=" ".join(GPT2_STREAM),
        balances="*.ln_* *.c_attn.weight *.c_fc.weight m.lm_head.weight",
    ),
    Case(
        name="LlamaForCausalLM",
        because="Every norm forgets the scale of the stream, to which the embedding, o and down "
        "add; each norm goes against what reads it, q against k, v against o; SiLU fixes the gate, "
        "and up goes against down.",
        build=lambda: Logits("Llama", "ForCausalLM", num_key_value_heads=1, **ATTENTION, **CAUSAL),
        inputs=tokens("input_ids", 11, 6),
        symmetries=(" ".join(STREAM), *FIRST_NORM, *SCORES, *VALUES, *FEED_FORWARD, LAST_NORM),
        blocks=(Block(STREAM),),
        homogeneous=HEAD,
        lr="*.v_proj.weight *.up_proj.weight " + " ".join(STREAM),
        balances="*norm.weight *.q_proj.weight *.k_proj.weight *.gate_proj.weight m.lm_head.weight",
    ),
    Case(
        name="Qwen3ForCausalLM",
        because="As Llama, but q and k have norms, so that they are forgotten head by head, their "
        "gains go against each other, and the norm before them goes against v alone.",
        build=lambda: Logits(
            "Qwen3",
            "ForCausalLM",
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=4,
            intermediate_size=12,
            **CAUSAL,
        ),
        inputs=tokens("input_ids", 11, 6),
        symmetries=(
            " ".join(STREAM),
            *each(f"{LAYER}.self_attn.q_proj.weight"),
            *each(f"{LAYER}.self_attn.k_proj.weight"),
            *each(f"{LAYER}.self_attn.q_norm.weight / {LAYER}.self_attn.k_norm.weight"),
            *each(f"{LAYER}.input_layernorm.weight / {LAYER}.self_attn.v_proj.weight"),
            *VALUES,
            *FEED_FORWARD,
            LAST_NORM,
        ),
        blocks=(
            *(Block((f"m.model.layers.{i}.self_attn.q_proj.weight",), count=4) for i in (0, 1)),
            *(Block((f"m.model.layers.{i}.self_attn.k_proj.weight",), count=2) for i in (0, 1)),
            Block(STREAM),
        ),
        homogeneous=HEAD,
        lr="*.input_layernorm.weight *.q_proj.weight *.k_proj.weight *.v_proj.weight "
        "*.up_proj.weight " + " ".join(STREAM),
        balances="*.post_attention_layernorm.weight m.model.norm.weight *.gate_proj.weight "
        "m.lm_head.weight",
    ),
    Case(
        name="MixtralForCausalLM",
        because="As Llama, but gate and up of all experts are one tensor, so that SiLU fixes its "
        "scale up to the norm before it, which the router reads too.",
        build=lambda: Logits(
            "Mixtral",
            "ForCausalLM",
            num_key_value_heads=1,
            num_local_experts=3,
            num_experts_per_tok=2,
            experts_implementation="batched_mm",  # the others have shapes that depend on data
            **ATTENTION,
            **CAUSAL,
        ),
        inputs=tokens("input_ids", 11, 6),
        symmetries=(
            "m.model.embed_tokens.weight *.o_proj.weight *.down_proj",
            *FIRST_NORM,
            *SCORES,
            *VALUES,
            *each(
                f"{LAYER}.post_attention_layernorm.weight"
                f" / {LAYER}.mlp.gate.weight {LAYER}.mlp.experts.gate_up_proj"
            ),
            LAST_NORM,
        ),
        blocks=(
            Block(
                (
                    "m.model.embed_tokens.weight",
                    *(
                        f"m.model.layers.{i}.{name}"
                        for i in (0, 1)
                        for name in ("self_attn.o_proj.weight", "mlp.experts.down_proj")
                    ),
                )
            ),
        ),
        homogeneous=HEAD,
        lr="m.model.embed_tokens.weight *.v_proj.weight *.o_proj.weight *.down_proj",
        balances="*norm.weight *.q_proj.weight *.k_proj.weight *.gate.weight "
        "*.gate_up_proj m.lm_head.weight",
    ),
    Case(
        name="MambaForCausalLM",
        because="Norms forget the stream, and each goes against in_proj, which SiLU fixes; Δ = "
        "softplus(dt_proj x_proj u) fixes a product, B and C scale as x_proj, so the state's part "
        "has degree 2, D must follow it, and out_proj undoes it.",
        build=lambda: Logits("Mamba", "ForCausalLM", state_size=4, **CAUSAL),
        inputs=tokens("input_ids", 11, 6),
        symmetries=(
            "m.backbone.embeddings.weight *.out_proj.weight",
            *each(f"{MAMBA}.norm.weight / {MAMBA}.mixer.in_proj.weight"),
            *each(
                f"{MAMBA}.mixer.x_proj.weight 2·{MAMBA}.mixer.D"
                f" / {MAMBA}.mixer.dt_proj.weight 2·{MAMBA}.mixer.out_proj.weight"
            ),
            "m.backbone.norm_f.weight / m.lm_head.weight",
        ),
        blocks=(Block(MAMBA_STREAM),),
        homogeneous=HEAD,
        lr="m.backbone.embeddings.weight *.out_proj.weight",
        balances="*norm*.weight *.in_proj.weight *.x_proj.weight *.dt_proj.weight *.D "
        "m.lm_head.weight",
    ),
)

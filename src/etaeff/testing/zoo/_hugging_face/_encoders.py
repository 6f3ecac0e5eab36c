"""BERT and T5 of transformers."""

from typing import Final

from torch import Tensor

from etaeff.geometry import Block
from etaeff.testing.zoo._case import Case
from etaeff.testing.zoo._hugging_face._model import ATTENTION, CLASSIFIER, Logits, each
from etaeff.testing.zoo._parts import tokens

BERT: Final = "m.bert.encoder.layer.@"
TABLES: Final = tuple(
    f"m.bert.embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type")
)
ENCODER, DECODER = "m.encoder.block.0.layer", "m.decoder.block.0.layer"


def bert_stream(before: str, layer: int) -> str:
    """The scale of a layer's input: q and k undo it, the biases of v and o follow it."""
    b = f"m.bert.encoder.layer.{layer}.attention"
    follow = f"{b}.self.value.bias {b}.output.dense.bias"
    return f"{before} {follow} / {b}.self.query.weight {b}.self.key.weight"


def t5_attention(layer: str, kind: str, *, reads: str = "qkv") -> tuple[str, ...]:
    return (
        f"{layer}.layer_norm.weight / " + " ".join(f"{layer}.{kind}.{n}.weight" for n in reads),
        f"{layer}.{kind}.q.weight / {layer}.{kind}.k.weight",
        f"{layer}.{kind}.v.weight / {layer}.{kind}.o.weight",
    )


def t5_feed_forward(layer: str) -> tuple[str, ...]:
    inner = f"{layer}.DenseReluDense"
    return (
        f"{layer}.layer_norm.weight / {inner}.wi.weight",
        f"{inner}.wi.weight / {inner}.wo.weight",
    )


def source_and_target() -> dict[str, Tensor]:
    return tokens("input_ids", 11, 6)() | tokens("decoder_input_ids", 11, 4)()


CASES: Final = (
    Case(
        name="BertForSequenceClassification",
        because="The three tables are added and normalised; the scale of a norm that a layer reads "
        "is undone by q and k and followed by the biases of v and o, or undone by the intermediate "
        "layer and followed by the output; the last is undone by the pooler, which tanh fixes.",
        build=lambda: Logits(
            "Bert",
            "ForSequenceClassification",
            vocab_size=11,
            hidden_size=8,
            num_hidden_layers=2,
            max_position_embeddings=8,
            num_labels=3,
            **ATTENTION,
        ),
        inputs=tokens("input_ids", 11, 6),
        symmetries=(
            "m.bert.embeddings.*_embeddings.weight",
            bert_stream("m.bert.embeddings.LayerNorm.*", 0),
            bert_stream("m.bert.encoder.layer.0.output.LayerNorm.*", 1),
            "m.bert.encoder.layer.1.output.LayerNorm.* / m.bert.pooler.dense.weight",
            *each(f"{BERT}.attention.self.query.* / {BERT}.attention.self.key.weight"),
            *each(f"{BERT}.attention.self.value.* / {BERT}.attention.output.dense.weight"),
            *each(
                f"{BERT}.attention.output.LayerNorm.* {BERT}.output.dense.*"
                f" / {BERT}.intermediate.dense.weight"
            ),
        ),
        inert=" ".join(each(f"{BERT}.attention.self.key.bias")),
        blocks=(Block(TABLES),),
        homogeneous=CLASSIFIER,
        lr="m.bert.embeddings.*_embeddings.weight",
        balances="*.LayerNorm.* *.query.* *.key.weight *.value.* *.intermediate.dense.weight "
        "*.output.dense.* m.bert.pooler.dense.weight",
    ),
    Case(
        name="T5ForConditionalGeneration",
        because="One embedding serves encoder, decoder and head, so both streams scale together "
        "against the last norm's gain; cross-attention reads the encoder's norm by k and v, its "
        "own by q alone; wi goes against wo, as ReLU keeps a scale.",
        build=lambda: Logits(
            "T5",
            "ForConditionalGeneration",
            vocab_size=11,
            d_model=8,
            d_kv=4,
            d_ff=12,
            num_layers=1,
            num_decoder_layers=1,
            num_heads=2,
            feed_forward_proj="relu",
            use_cache=False,
        ),
        inputs=source_and_target,
        symmetries=(
            "m.shared.weight *.o.weight *.wo.weight / m.decoder.final_layer_norm.weight",
            *t5_attention(f"{ENCODER}.0", "SelfAttention"),
            *t5_feed_forward(f"{ENCODER}.1"),
            f"m.encoder.final_layer_norm.weight / {DECODER}.1.EncDecAttention.k.weight"
            f" {DECODER}.1.EncDecAttention.v.weight",
            *t5_attention(f"{DECODER}.0", "SelfAttention"),
            *t5_attention(f"{DECODER}.1", "EncDecAttention", reads="q"),
            *t5_feed_forward(f"{DECODER}.2"),
        ),
        homogeneous=("m.decoder.final_layer_norm.weight", 1),
        balances="m.shared.weight *norm.weight *.q.weight *.k.weight *.v.weight *.o.weight "
        "*.wi.weight *.wo.weight",
    ),
)

"""Hugging Face's Trainer with its own optimiser, and `constrain_` to keep weights on spheres.

python examples/huggingface_trainer.py
"""

import tempfile

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM, Trainer, TrainingArguments, set_seed

import etaeff
from etaeff.geometry import block_norms

LETTERS, LENGTH = 32, 24


def repeated(examples: int, period: int = 6) -> list[dict[str, torch.Tensor]]:
    """Random words of `period` letters, repeated: after the first, each letter is known."""
    words = torch.randint(LETTERS, (examples, period)).repeat(1, LENGTH // period)
    return [{"input_ids": word, "labels": word} for word in words]


def main() -> None:
    """Train a tiny Qwen3, which normalises its queries and keys, from random weights."""
    set_seed(0)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=LETTERS, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, head_dim=16, use_cache=False,
        )
    )  # fmt: skip
    train, test = repeated(4000), repeated(200)
    audit = etaeff.audit(model, (test[0]["input_ids"][None],))
    print(repr(audit))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=32, num_train_epochs=1, learning_rate=3e-3,
            lr_scheduler_type="cosine", report_to=[], save_strategy="no", logging_strategy="no",
            disable_tqdm=True, use_cpu=True,
        )  # fmt: skip
        trainer = Trainer(model, arguments, train_dataset=train, eval_dataset=test)
        trainer.create_optimizer()
        handle = etaeff.constrain_(model, trainer.optimizer, audit.blocks, radius="keep")
        print(f"loss on unseen words, before: {trainer.evaluate()['eval_loss']:.3f}")
        trainer.train()
        print(f"loss on unseen words, after: {trainer.evaluate()['eval_loss']:.3f}")
    norms = torch.cat([block_norms(b, dict(model.named_parameters())) for b in audit.blocks])
    off = (norms / torch.cat(handle.radii) - 1).abs().max()
    print(f"{len(norms)} spheres under {type(trainer.optimizer).__name__}, radii off by {off:.1e}")


if __name__ == "__main__":
    main()

"""The audit beside what people do: time, memory, recall and false positives.

    .venv/bin/python benchmarks/audit.py            # small models
    .venv/bin/python benchmarks/audit.py --large    # ResNet-50, GPT-2 124M, Llama 8B (proof only)

The question is which tensors are scale-invariant by themselves. Two heuristics answer it from one
backward pass, or from none: "the gradient is nearly orthogonal to the weight" (cosine below 0.01)
and "it has two axes or more, and is not the head". The truth is the audit's, whose every label is
measured in float64 and, for hand-labelled models, checked in tests/symmetry.
"""

import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch import nn

from etaeff.symmetry import Audit, audit

COSINE = 0.01


def models() -> dict[str, tuple[Callable[[], nn.Module], Any]]:
    """Small models of the kinds that are trained, and an input for each."""
    image, ids = torch.randn(4, 3, 32, 32), torch.randint(0, 100, (2, 12))
    text = {"vocab_size": 100, "hidden_size": 32, "intermediate_size": 64}
    text |= {"num_hidden_layers": 2, "num_attention_heads": 4}
    t = transformers
    resnet = t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[2, 2])
    convnext = t.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)
    vit = t.ViTConfig(image_size=32, patch_size=8, hidden_size=32, intermediate_size=64,
                      num_hidden_layers=2, num_attention_heads=4)  # fmt: skip
    gpt2 = t.GPT2Config(vocab_size=100, n_embd=32, n_layer=2, n_head=4, use_cache=False,
                        bos_token_id=None, eos_token_id=None)  # fmt: skip
    llama = t.LlamaConfig(**text, use_cache=False)
    qwen = t.Qwen3Config(**text, head_dim=8, num_key_value_heads=2, use_cache=False)
    bert = t.BertConfig(**text)
    return {
        "ResNet": (lambda: t.ResNetForImageClassification(resnet), image),
        "ConvNeXt": (lambda: t.ConvNextForImageClassification(convnext), image),
        "ViT": (lambda: t.ViTForImageClassification(vit), image),
        "GPT-2": (lambda: t.GPT2LMHeadModel(gpt2), ids),
        "Llama": (lambda: t.LlamaForCausalLM(llama), ids),
        "Qwen3": (lambda: t.Qwen3ForCausalLM(qwen), ids),
        "BERT": (lambda: t.BertForMaskedLM(bert), ids),
    }


def alone(found: Audit) -> set[str]:
    """Tensors that are scale-invariant by themselves."""
    return {block.names[0] for block in found.blocks if len(block.names) == 1}


def by_cosine(model: nn.Module, value: Any) -> set[str]:
    """Tensors whose gradient is nearly orthogonal to them, in one float32 backward pass."""
    logits = model.train()(value)[0]
    (logits * torch.randn_like(logits)).sum().backward()
    found = set()
    for name, p in model.named_parameters():
        if p.grad is None or not float(p.grad.norm()) or not float(p.norm()):
            continue
        cosine = float((p * p.grad).sum() / (p.norm() * p.grad.norm()))
        if abs(cosine) < COSINE:
            found.add(name)
    return found


def by_dimension(model: nn.Module) -> set[str]:
    """Tensors with two axes or more, but for the head: the usual rule for what to decay."""
    names = [name for name, p in model.named_parameters() if p.ndim > 1]
    return {name for name in names if "head" not in name and "classifier" not in name}


def compare() -> None:
    """Print recall and false positives of the heuristics on small models."""
    total = {"cosine": [0, 0, 0], "dimension": [0, 0, 0]}
    print(f"{'model':9} {'s':>5} {'tensors':>8} {'alone':>6}  found/wrong: cosine, dimension")
    for name, (build, value) in models().items():
        torch.manual_seed(0)
        model = build()
        start = time.perf_counter()
        found = audit(model, (value,))
        seconds = time.perf_counter() - start
        truth, count = alone(found), len(found.parameters)
        shown = []
        for rule, guess in (
            ("cosine", by_cosine(model, value)),
            ("dimension", by_dimension(model)),
        ):
            hits, wrong = len(guess & truth), len(guess - truth)
            total[rule] = [
                a + b for a, b in zip(total[rule], (hits, wrong, len(truth)), strict=True)
            ]
            shown.append(f"{hits}/{wrong}")
        print(f"{name:9} {seconds:5.2f} {count:8} {len(truth):6}  {', '.join(shown)}")
    for rule, (hits, wrong, truth) in total.items():
        print(f"{rule}: recall {hits}/{truth}, false positives {wrong}")


def large() -> None:
    """Print time and peak memory on models of real size, each in a process of its own."""
    import subprocess

    for name in ("resnet50", "gpt2", "llama8b"):
        subprocess.run([sys.executable, __file__, name], check=True)


def one(name: str) -> None:
    """Audit one large model."""
    t = transformers
    value = torch.randn(4, 3, 64, 64) if name == "resnet50" else torch.randint(0, 1000, (2, 16))
    if name == "resnet50":
        model: nn.Module = t.ResNetForImageClassification(t.ResNetConfig())
    elif name == "gpt2":
        model = t.GPT2LMHeadModel(t.GPT2Config(use_cache=False))
    else:
        config = t.LlamaConfig(
            vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
            num_attention_heads=32, num_key_value_heads=8, use_cache=False,
        )  # fmt: skip
        with torch.device("meta"):
            model, value = t.LlamaForCausalLM(config), torch.zeros(1, 8, dtype=torch.long)
    size = sum(p.numel() * p.element_size() for p in model.parameters() if not p.is_meta) / 1e9
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    start = time.perf_counter()
    found = audit(model, (value,))
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{name:9} {seconds:6.1f} s, model {size:.2f} GB, peak {before:.2f} → {after:.2f} GB, "
          f"rank {found.rank}")  # fmt: skip


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1:] == ["--large"]:
        large()
    elif sys.argv[1:]:
        one(sys.argv[1])
    else:
        compare()

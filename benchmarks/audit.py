"""The audit beside what people do: recall, false positives, time and memory.

    .venv/bin/python benchmarks/audit.py            # the hand-labelled models of tests/symmetry
    .venv/bin/python benchmarks/audit.py --large    # models of real size
    .venv/bin/python benchmarks/audit.py --depth    # how the time grows with the layers

The question is which tensors are scale-invariant by themselves. The truth is written by hand: it
comes from the labels of `tests/symmetry/zoo.py`, and for the large models from a glob. Beside the
audit stand three ways to guess:

- cosine: the gradient of one random loss is nearly orthogonal to the weight (below 0.01);
- dimension: the tensor has two axes or more;
- name: it is called a weight, and neither its name nor a part of it says norm, embedding or head.
"""

import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "symmetry"))

from zoo import CASES, HUGGING_FACE, Case, exponents

from etaeff.symmetry import audit
from etaeff.symmetry._proof._basis import Span

COSINE = 0.01
NO_WEIGHTS = ("norm", "ln", "bn", "embed", "wte", "wpe", "token", "position", "head", "classifier",
              "gain", "gamma", "scale")  # fmt: skip
Guess = Callable[[nn.Module, Mapping[str, Any]], set[str]]


def by_audit(model: nn.Module, inputs: Mapping[str, Any]) -> set[str]:
    """What the audit says."""
    found = audit(model, (), inputs).symmetries
    alone = [s for s in found if s.kind == "scale-invariant" and len(s.exponents) == 1]
    return {name for symmetry in alone for name in symmetry.exponents}


def by_cosine(model: nn.Module, inputs: Mapping[str, Any]) -> set[str]:
    """Tensors whose gradient is nearly orthogonal to them, in one backward pass in float32."""
    model.train()
    outputs = [v for v in torch.utils._pytree.tree_leaves(model(**inputs)) if _real(v)]
    torch.stack([(v * torch.randn_like(v)).sum() for v in outputs]).sum().backward()
    found = set()
    for name, p in model.named_parameters():
        if p.grad is not None and float(p.grad.norm() * p.norm()) > 0:
            cosine = float((p * p.grad).sum() / (p.norm() * p.grad.norm()))
            found |= {name} if abs(cosine) < COSINE else set()
    return found


def by_dimension(model: nn.Module, _: Mapping[str, Any]) -> set[str]:
    """Tensors with two axes or more."""
    return {name for name, p in model.named_parameters() if p.ndim > 1}


def by_name(model: nn.Module, _: Mapping[str, Any]) -> set[str]:
    """Weights that are called neither norm nor embedding nor head."""
    names = [name for name, _ in model.named_parameters() if "weight" in name.split(".")[-1]]
    return {name for name in names if not any(part in name.lower() for part in NO_WEIGHTS)}


GUESSES: dict[str, Guess] = {
    "audit": by_audit, "cosine": by_cosine, "dimension": by_dimension, "name": by_name,
}  # fmt: skip


def labelled(case: Case, names: list[str]) -> set[str]:
    """The tensors that a case's labels say to be scale-invariant by themselves."""
    index = {name: i for i, name in enumerate(names)}
    basis = [exponents(text, names) for text in (*case.symmetries, *case.inert.split())]
    span = Span([{index[n]: Fraction(v) for n, v in own.items()} for own in basis])
    inert = {name for text in case.inert.split() for name in exponents(text, names)}
    return {name for name in names if {index[name]: Fraction(1)} in span} - inert


def compare() -> None:
    """Print what each way finds on the labelled models, wrongly and rightly, and how long it takes.

    The ways take turns on each model.
    """
    cases = {**CASES, **HUGGING_FACE}
    right, wrong, seconds = (dict.fromkeys(GUESSES, 0.0) for _ in range(3))
    tensors = alone = 0
    for case in cases.values():
        torch.manual_seed(0)
        model = case.build()
        names = [name for name, _ in model.named_parameters()]
        truth = labelled(case, names)
        tensors, alone = tensors + len(names), alone + len(truth)
        for way, guess in GUESSES.items():
            start = time.perf_counter()
            found = guess(model, case.inputs())
            seconds[way] += time.perf_counter() - start
            right[way] += len(found & truth)
            wrong[way] += len(found - truth)
    print(f"{len(cases)} models, {tensors} tensors, {alone} of them scale-invariant alone")
    print(f"{'':10} {'found':>6} {'recall':>7} {'wrong':>6} {'s a model':>10}")
    for way in GUESSES:
        print(f"{way:10} {right[way]:6.0f} {right[way] / alone:7.1%} {wrong[way]:6.0f} "
              f"{seconds[way] / len(cases):10.4f}")  # fmt: skip


# ----------------------------------------------------------------------------------- of real size


def resnet50() -> tuple[nn.Module, dict[str, Tensor]]:
    """ResNet-50, 24 million parameters."""
    from transformers import ResNetConfig, ResNetForImageClassification

    return ResNetForImageClassification(ResNetConfig()), {"pixel_values": torch.randn(4, 3, 64, 64)}


def gpt2() -> tuple[nn.Module, dict[str, Tensor]]:
    """GPT-2, 124 million parameters."""
    from transformers import GPT2Config, GPT2LMHeadModel

    ids = torch.randint(0, 1000, (2, 16))
    return GPT2LMHeadModel(GPT2Config(use_cache=False)), {"input_ids": ids}


def qwen3() -> tuple[nn.Module, dict[str, Tensor]]:
    """A Qwen3 of 93 million parameters."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=32000, hidden_size=512, intermediate_size=1536, num_hidden_layers=16,
        num_attention_heads=8, num_key_value_heads=4, head_dim=64, use_cache=False,
    )  # fmt: skip
    return Qwen3ForCausalLM(config), {"input_ids": torch.randint(0, 1000, (2, 16))}


def llama8b() -> tuple[nn.Module, dict[str, Tensor]]:
    """A Llama of 8 billion parameters, without memory for them."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=8, use_cache=False,
    )  # fmt: skip
    with torch.device("meta"):
        return LlamaForCausalLM(config), {"input_ids": torch.zeros(1, 8, dtype=torch.long)}


# Which tensors are scale-invariant alone.
LARGE = {
    resnet50: ("*.convolution.weight",),
    gpt2: (),
    qwen3: ("*.q_proj.weight", "*.k_proj.weight"),
    llama8b: (),
}


def large() -> None:
    """Print the same for models of real size; each run is a process, for its peak memory."""
    print(f"{'':10} {'':10} {'s':>6} {'peak, × the model':>18} {'found':>6} {'wrong':>6}")
    for build in LARGE:
        for way in GUESSES:
            if way != "cosine" or build is not llama8b:  # which has no gradient
                subprocess.run([sys.executable, __file__, build.__name__, way], check=True)


def one(name: str, way: str) -> None:
    """One large model, one way; what has to be imported, is before."""
    build, globs = next((b, g) for b, g in LARGE.items() if b.__name__ == name)
    GUESSES[way](nn.Linear(2, 2), {"input": torch.ones(1, 2)})
    imported = _peak()
    torch.manual_seed(0)
    model, inputs = build()
    size = sum(p.numel() * p.element_size() for p in model.parameters() if not p.is_meta) / 2**30
    truth = {n for n, _ in model.named_parameters() if any(fnmatchcase(n, g) for g in globs)}
    start = time.perf_counter()
    found = GUESSES[way](model, inputs)
    seconds = time.perf_counter() - start
    peak = _peak() - imported
    memory = f"{peak:.2f} GiB, {peak / size:.1f}" if size else f"{peak:.2f} GiB"
    print(f"{name:10} {way:10} {seconds:6.1f} {memory:>18} {len(found & truth):3}/{len(truth):<3}"
          f"{len(found - truth):6}")  # fmt: skip


def depth() -> None:
    """Print the time of a proof and of a whole audit of deeper and deeper Llamas."""
    from transformers import LlamaConfig, LlamaForCausalLM

    print(f"{'layers':>6} {'proof, s':>9} {'audit, s':>9} {'ms a layer':>13}")
    for layers in (8, 16, 32, 64, 128):
        config = LlamaConfig(
            vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=layers,
            num_attention_heads=4, num_key_value_heads=2, use_cache=False,
        )  # fmt: skip
        model, ids = LlamaForCausalLM(config), torch.randint(0, 64, (2, 8))
        seconds = []
        for measure in (False, True):
            start = time.perf_counter()
            audit(model, (ids,), measure=measure)
            seconds.append(time.perf_counter() - start)
        each = ", ".join(f"{1000 * own / layers:.0f}" for own in seconds)
        print(f"{layers:6} {seconds[0]:9.1f} {seconds[1]:9.1f} {each:>13}")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _real(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.requires_grad


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1:] == ["--large"]:
        large()
    elif sys.argv[1:] == ["--depth"]:
        depth()
    elif sys.argv[1:]:
        one(*sys.argv[1:])
    else:
        compare()

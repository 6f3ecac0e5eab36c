"""The audit beside what people do: recall, false positives, time and memory.

    python benchmarks/audit.py            # the hand-labelled models of the zoo
    python benchmarks/audit.py --large    # models of real size, each run a process
    python benchmarks/audit.py --depth    # how the time grows with the layers
    python benchmarks/audit.py --field    # models that no label was written for

The question is which tensors are scale-invariant by themselves. The truth is written by hand: it
comes from the labels of `etaeff.testing.zoo`, and for the large models from a glob. Beside the
audit stand three ways to guess:

- cosine: the gradient of one random loss is nearly orthogonal to the weight (below 0.01);
- dimension: the tensor has two axes or more;
- name: it is called a weight, and neither its name nor a part of it says norm, embedding or head.

`--field` asks something else: whether all that the audit says of models outside the zoo is true.
The truth is found on the models themselves, in float64; `field/truth.py` says how.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _harness import Contestant, parser, process, race, report
from field import chosen
from field.table import run, totals
from torch import Tensor, nn

from etaeff.symmetry import audit
from etaeff.testing.zoo import FAMILIES, Case, cases, exponents

COSINE = 0.01
NO_WEIGHTS = ("norm", "ln", "bn", "embed", "wte", "wpe", "token", "position", "head", "classifier",
              "gain", "gamma", "scale")  # fmt: skip
LABELLED = cases(*FAMILIES)
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


GUESSES: dict[str, Guess] = {  # the first is what the others are compared with
    "cosine": by_cosine, "audit": by_audit, "dimension": by_dimension, "name": by_name,
}  # fmt: skip


def labelled(case: Case, names: list[str]) -> set[str]:
    """The tensors that a case's labels say to be scale-invariant by themselves."""
    inert = {name for text in case.inert.split() for name in exponents(text, names)}
    return {name for name in names if case.contains({name: 1}, names)} - inert


def over_labelled(way: str) -> dict[str, float]:
    """One way on all labelled models: what it finds of what there is, what else, and how fast."""
    right = wrong = there = 0
    seconds = 0.0
    for case in LABELLED.values():
        model, inputs = case.model(), case.inputs()
        truth = labelled(case, [name for name, _ in model.named_parameters()])
        begun = time.perf_counter()
        invariant = GUESSES[way](model, inputs)
        seconds += time.perf_counter() - begun
        there += len(truth)
        right += len(invariant & truth)
        wrong += len(invariant - truth)
    return {"seconds": seconds / len(LABELLED), "found": right, "of": there, "wrong": wrong}


def compare(rounds: int, file: Path | None) -> None:
    """Print how the ways do on the labelled models."""
    contestants = [Contestant(way, partial(over_labelled, way)) for way in GUESSES]
    runs = race(contestants, rounds=rounds)
    report(f"A model of {len(LABELLED)}", runs, file)


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


def efficientnet() -> tuple[nn.Module, dict[str, Tensor]]:
    """EfficientNet-B7, 64 million parameters, in its default configuration."""
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    pictures = {"pixel_values": torch.randn(2, 3, 224, 224)}
    return EfficientNetForImageClassification(EfficientNetConfig()), pictures


def wav2vec2() -> tuple[nn.Module, dict[str, Tensor]]:
    """Wav2Vec2, 94 million parameters, which drops layers and masks by NumPy's chance."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    return Wav2Vec2Model(Wav2Vec2Config()), {"input_values": torch.randn(2, 8000)}


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
    efficientnet: ("*_conv.weight", "*.embeddings.convolution.weight"),
    wav2vec2: ("*.conv_layers.0.conv.weight", "*.pos_conv_embed.conv.*.original1"),
    llama8b: (),
}


def large(rounds: int, file: Path | None) -> None:
    """Print the same for models of real size; each run is a process, for its peak memory."""
    contestants = []
    for build in LARGE:
        # Llama is on the meta device, and has no gradient.
        for way in GUESSES if build is not llama8b else ("audit", "dimension", "name"):
            command = [sys.executable, __file__, "--one", build.__name__, way]
            contestants.append(
                Contestant(f"{build.__name__}, {way}", process(command, reports=True))
            )
    report("Models of real size", race(contestants, rounds=rounds, warmups=0), file, unit="s")


def one(name: str, way: str) -> dict[str, float]:
    """One large model, one way; what has to be imported, is before."""
    build, globs = next((b, g) for b, g in LARGE.items() if b.__name__ == name)
    GUESSES[way](nn.Linear(2, 2), {"input": torch.ones(1, 2)})
    imported = peak()
    torch.manual_seed(0)
    model, inputs = build()
    size = sum(p.numel() * p.element_size() for p in model.parameters() if not p.is_meta) / 2**30
    truth = {n for n, _ in model.named_parameters() if any(fnmatchcase(n, g) for g in globs)}
    begun = time.perf_counter()
    invariant = GUESSES[way](model, inputs)
    seconds = time.perf_counter() - begun
    return {
        "seconds": seconds,
        "GiB": peak() - imported,
        "model, GiB": size,
        "found": len(invariant & truth),
        "of": len(truth),
        "wrong": len(invariant - truth),
    }


def deep_llama(layers: int, measure: bool) -> dict[str, float]:
    """Seconds for a layer of a Llama of so many; the model is made before."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, use_cache=False,
    )  # fmt: skip
    model, ids = LlamaForCausalLM(config), torch.randint(0, 64, (2, 8))
    begun = time.perf_counter()
    audit(model, (ids,), measure=measure)
    return {"seconds": (time.perf_counter() - begun) / layers, "layers": layers}


def depth(rounds: int, file: Path | None) -> None:
    """Print the time of a proof and of a whole audit of deeper and deeper Llamas."""
    deep_llama(2, measure=True)  # the first use of anything is slow
    contestants = [
        Contestant(f"{name}, {layers} layers", partial(deep_llama, layers, measure))
        for name, measure in (("proof", False), ("audit", True))
        for layers in (8, 16, 32, 64, 128)
    ]
    report("A layer of a Llama", race(contestants, rounds=rounds, warmups=0), file)


def peak() -> float:
    """The most memory that this process has held, in GiB; of Linux.

    `getrusage` would begin with what the process held that started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20


def _real(value: object) -> bool:
    """Whether a loss can be made of it."""
    return isinstance(value, Tensor) and value.is_floating_point() and value.requires_grad


def main() -> None:
    """Print the comparison that is asked for."""
    options = parser(__doc__, rounds=3)
    which = options.add_mutually_exclusive_group()
    which.add_argument("--large", action="store_true", help="models of real size")
    which.add_argument("--depth", action="store_true", help="deeper and deeper models")
    which.add_argument(
        "--field",
        nargs="?",
        const="*",
        metavar="GLOB",
        help="models outside the zoo",
    )
    which.add_argument("--one", nargs=2, metavar=("MODEL", "WAY"), help="one run, as JSON")
    arguments = options.parse_args()
    warnings.simplefilter("ignore")
    if arguments.one:
        print(json.dumps(one(*arguments.one)))
        return
    if arguments.field:
        print(totals(run(chosen(arguments.field), processes=2)))
        return
    show = large if arguments.large else depth if arguments.depth else compare
    show(arguments.rounds, arguments.json)


if __name__ == "__main__":
    main()

"""The audit of models on an accelerator, against the audit of the same models on the CPU.

    python benchmarks/gpu.py              # what is there: cuda, or the CPU against itself
    python benchmarks/gpu.py --device cpu # see that the script runs

Each model is audited on the CPU, on the accelerator, on it with `device="cpu"`, and, where it can
be, split over both. Rank, blocks and effects must be the same, and defects nothing but rounding.
It prints a line for each, and ends with 1 if any differs.
"""

import argparse
import copy
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from etaeff.symmetry import Audit, audit

ROUNDING = 1e-9


def resnet() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small ResNet."""
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32], depths=[2, 2], layer_type="basic",
    )  # fmt: skip
    return ResNetForImageClassification(config), (torch.randn(4, 3, 32, 32),)


def gpt2() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A GPT-2 of two layers, in its default call."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=2, n_embd=64, n_head=4, vocab_size=100)
    return GPT2LMHeadModel(config), (torch.randint(0, 100, (2, 12)),)


class Filters(nn.Module):
    """Complex weights, parameters seen as complex ones, a mask of infinity, and indices."""

    def __init__(self) -> None:
        """Eight channels."""
        super().__init__()
        self.first, self.norm, self.head = nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 2)
        self.own = nn.Parameter(torch.randn(5, dtype=torch.cfloat))
        self.pairs = nn.Parameter(torch.randn(5, 2))
        self.mask = nn.Parameter(torch.tensor([0.0] * 7 + [-torch.inf]), requires_grad=False)
        self.order = nn.Parameter(torch.randperm(8), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Filtered, normalised, masked."""
        seen = torch.fft.rfft(self.first(x)) * self.own * torch.view_as_complex(self.pairs)
        x = self.norm(torch.fft.irfft(seen, n=8))[:, self.order]
        return self.head((x + self.mask).softmax(-1) + torch.arange(8, device=x.device))


def filters() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Parameters of several kinds."""
    return Filters(), (torch.randn(6, 8),)


class Split(nn.Module):
    """A model of which one half is on another device."""

    def __init__(self) -> None:
        """Two layers with a norm each."""
        super().__init__()
        self.left = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU())
        self.right = nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16), nn.Linear(16, 4))

    def forward(self, x: Tensor) -> Tensor:
        """First the left half, then the right."""
        x = self.left(x.to(self.left[0].weight.device))
        return self.right(x.to(self.right[0].weight.device))


def split() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A model that can be split."""
    return Split(), (torch.randn(10, 8),)


MODELS: tuple[Callable[[], tuple[nn.Module, tuple[Tensor, ...]]], ...] = (
    resnet, gpt2, filters, split,
)  # fmt: skip


def places(name: str, model: nn.Module, device: str) -> dict[str, tuple[nn.Module, str, Any]]:
    """The model on each device or devices: where its inputs go, and the audit's `device`."""
    there = copy.deepcopy(model).to(device)
    found: dict[str, tuple[nn.Module, str, Any]] = {
        "on it": (there, device, None),
        "on it, measured on the CPU": (there, device, "cpu"),
        "on the CPU, measured on it": (model, "cpu", device),
    }
    if name == "split":
        parted = copy.deepcopy(model)
        parted.right.to(device)
        found["over both"] = (parted, "cpu", None)
        found["over both, measured on it"] = (parted, "cpu", device)
    return found


def difference(found: Audit, truth: Audit) -> str:
    """What two audits do not have in common."""
    if found.rank != truth.rank:
        return f"rank {found.rank}, not {truth.rank}"
    if found.blocks != truth.blocks:
        return "other blocks"
    effects = [{n: p.effect for n, p in one.parameters.items()} for one in (found, truth)]
    if effects[0] != effects[1]:
        return "other effects"
    kinds = [[n.kind for n in one.notes] for one in (found, truth)]
    if kinds[0] != kinds[1]:
        return f"other notes: {'; '.join(found.notes)}"
    worst = max((s.defect or 0.0 for s in found.symmetries), default=0.0)
    return "" if worst <= ROUNDING else f"a defect of {worst:.1e}"


def main() -> int:
    """Print a line for each model and place."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    device = options.parse_args().device
    warnings.simplefilter("ignore")
    wrong = 0
    print(f"torch {torch.__version__}, {device}")
    for build in MODELS:
        torch.manual_seed(0)
        model, inputs = build()
        truth = audit(model, inputs)
        for place, (moved, where, measured) in places(build.__name__, model, device).items():
            begun = time.perf_counter()
            try:
                given = tuple(x.to(where) for x in inputs)
                text = difference(audit(moved, given, device=measured), truth)
            except Exception as error:  # the others are still to be seen
                text = f"{type(error).__name__}: {error}"
            wrong += bool(text)
            seconds = time.perf_counter() - begun
            print(f"{build.__name__:8} {place:28} {seconds:6.1f} s  {text or 'the same'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The field as people see it: a line for each model, and totals."""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from field import MODELS
from field._model import FieldModel
from field.judge import Category, Verdict, judge


def run(models: Iterable[FieldModel], processes: int = 1) -> list[Verdict]:
    """Judge each model, and print how it does as soon as it is known."""
    names = [model.name for model in models]
    verdicts = []
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for verdict in pool.map(_judged, names):
            print(line(verdict), flush=True)
            verdicts.append(verdict)
    return verdicts


def _judged(name: str) -> Verdict:
    """How the model of that name does, in a process of its own, with one computing thread."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    return judge(MODELS[name])


def line(verdict: Verdict) -> str:
    """One model: how it does, its ranks, its times, and the first reason."""
    head = f"{verdict.category:14} {verdict.name}"
    ranks = f"rank {verdict.found} of {verdict.true}"
    times = f"{verdict.seconds:.1f} s, truth {verdict.truth_seconds:.1f} s"
    doubts = "".join(f" | truth: {doubt}" for doubt in verdict.doubts)
    reasons = f" | {verdict.reasons[0]}" if verdict.reasons else ""
    more = f" (+{len(verdict.reasons) - 1})" if len(verdict.reasons) > 1 else ""
    return f"{head} | {verdict.kind} | {ranks} | {times}{reasons}{more}{doubts}"


def totals(verdicts: Sequence[Verdict]) -> str:
    """All models: how many do how, and which they are, with all reasons."""
    counts = Counter(verdict.category for verdict in verdicts)
    lines = [f"{len(verdicts)} models"]
    lines += [f"  {category:14} {counts[category]}" for category in reversed(Category)]
    lines.append(
        f"  audits {sum(v.seconds for v in verdicts):.0f} s, "
        f"truths {sum(v.truth_seconds for v in verdicts):.0f} s"
    )
    for category in Category:
        named = [v for v in verdicts if v.category is category]
        if not named or category is Category.AGREES:
            continue
        lines.append(f"\n{category}")
        for verdict in named:
            lines.append(f"  {verdict.name} ({verdict.kind})")
            lines += [f"      {reason}" for reason in verdict.reasons[:6]]
            lines += [f"      and {len(verdict.reasons) - 6} more"] * (len(verdict.reasons) > 6)
    return "\n".join(lines)

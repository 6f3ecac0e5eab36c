"""One step of the sphere optimisers and of `constrain_`, beside torch's AdamW and SGD.

On the parameters of a ResNet-18, 11.7 million, with the rows of every convolution on spheres. Each
contestant has weights and gradients of its own, which stay in no cache from one turn to the next.

    python benchmarks/optim.py
    python benchmarks/optim.py --device cuda
"""

from collections.abc import Iterator, Sequence

import torch
from _harness import Contestant, parser, race, report
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer

from etaeff import constrain_
from etaeff.geometry import Block, param_groups
from etaeff.optim import SphereAdam, SphereLion, SphereSGD

# Shape and number of the convolutions, each with a Batch Normalization behind it.
CONVOLUTIONS = (
    ((64, 3, 7, 7), 1),
    ((64, 64, 3, 3), 4),
    ((128, 64, 3, 3), 1), ((128, 64, 1, 1), 1), ((128, 128, 3, 3), 3),
    ((256, 128, 3, 3), 1), ((256, 128, 1, 1), 1), ((256, 256, 3, 3), 3),
    ((512, 256, 3, 3), 1), ((512, 256, 1, 1), 1), ((512, 512, 3, 3), 3),
)  # fmt: skip
HEAD = ((1000, 512), (1000,))
LR, DECAY = 1e-3, 1e-4

Shapes = Sequence[tuple[tuple[int, ...], int]]


def parameters(convolutions: Shapes, device: str) -> dict[str, Tensor]:
    """Weights by name, each with a gradient; one seed."""
    chance = torch.Generator().manual_seed(0)
    made = {}
    for name, shape in named_shapes(convolutions):
        weight = torch.randn(shape, generator=chance).mul_(0.05).to(device).requires_grad_()
        weight.grad = torch.randn(shape, generator=chance).mul_(1e-3).to(device)
        made[name] = weight
    return made


def named_shapes(convolutions: Shapes) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all parameters."""
    kernels = [shape for shape, count in convolutions for _ in range(count)]
    for i, shape in enumerate(kernels):
        yield f"{i}.convolution", shape
        yield f"{i}.gain", shape[:1]
        yield f"{i}.shift", shape[:1]
    yield from zip(("head.weight", "head.bias"), HEAD, strict=True)


def optimizers(convolutions: Shapes, device: str) -> Iterator[tuple[str, Optimizer]]:
    """Every contestant's optimiser, on weights of its own."""

    def weights() -> list[Tensor]:
        return list(parameters(convolutions, device).values())

    def groups() -> list[dict[str, object]]:
        named = parameters(convolutions, device)
        rows = [Block((n,), count=len(w)) for n, w in named.items() if n.endswith("convolution")]
        return param_groups(named, rows, lr=LR, weight_decay=DECAY)

    def constrained(optimizer: type[Optimizer], **options: object) -> Optimizer:
        named = parameters(convolutions, device)
        rows = [Block((n,), count=len(w)) for n, w in named.items() if n.endswith("convolution")]
        made = optimizer(named.values(), lr=LR, fused=True, **options)
        constrain_(named, made, rows)
        return made

    yield "AdamW fused", AdamW(weights(), lr=LR, weight_decay=DECAY, fused=True)
    yield "AdamW foreach", AdamW(weights(), lr=LR, weight_decay=DECAY, foreach=True)
    yield "AdamW fused, constrain_", constrained(AdamW, weight_decay=DECAY)
    yield "SphereAdam", SphereAdam(groups())
    yield "SphereAdam, block", SphereAdam(groups(), second_moment="block")
    yield "SphereLion", SphereLion(groups())
    yield "SGD fused", SGD(weights(), lr=LR, momentum=0.9, fused=True)
    yield "SGD foreach", SGD(weights(), lr=LR, momentum=0.9, foreach=True)
    yield "SGD fused, constrain_", constrained(SGD, momentum=0.9)
    yield "SphereSGD", SphereSGD(groups(), momentum=0.9)


def main() -> None:
    """Print a row for each optimiser."""
    options = parser(__doc__, rounds=20)
    options.add_argument("--device", default="cpu")
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    made = optimizers(CONVOLUTIONS, arguments.device)
    contestants = [Contestant(name, optimizer.step) for name, optimizer in made]
    finish = torch.cuda.synchronize if arguments.device.startswith("cuda") else lambda: None
    runs = race(contestants, rounds=arguments.rounds, warmups=2, finish=finish)
    report("One step", runs, arguments.json, device=arguments.device)


if __name__ == "__main__":
    main()

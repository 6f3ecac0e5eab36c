"""Real minibatches, a network whose hidden layers are exactly scale-invariant, its training."""

import copy

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from etaeff.geometry import Block


@pytest.fixture
def double_on_one_thread():
    """In float64 throughout: torch keeps some of its optimisers' state in the default dtype."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)


@pytest.fixture(scope="session")
def digits():
    """Pixels that vary in every batch (or they have no gradient but rounding), and labels."""
    images, labels = load_digits(return_X_y=True)
    images = images[:, images.std(axis=0) > 4]
    images = (images - images.mean(axis=0)) / images.std(axis=0)
    return torch.from_numpy(images), torch.from_numpy(labels)


def normalized(x):
    """Batch Normalization without ε, so that the scale of its input is forgotten exactly."""
    x = x - x.mean(dim=0)
    return x / x.square().mean(dim=0).sqrt()


class Network(nn.Module):
    """Two normalised layers, the first in `(out, in)` and the second in `(in, out)`; a head."""

    def __init__(self, inputs, width=16):
        super().__init__()
        make = torch.Generator().manual_seed(0)
        draw = {"generator": make, "dtype": torch.float64}
        self.first = nn.Parameter(torch.randn(width, inputs, **draw) / inputs**0.5)
        self.second = nn.Parameter(torch.randn(width, width, **draw) / width**0.5)
        self.head = nn.Parameter(torch.randn(10, width, **draw) / width**0.5)

    def forward(self, x):
        x = normalized(x @ self.first.T).relu()
        return normalized(x @ self.second).relu() @ self.head.T


BLOCKS = [Block(("first",), count=16), Block(("second",), axis=1, count=16)]


class Run:
    """A network with its optimiser and schedule, which sees the same batches as any other."""

    def __init__(self, digits, make_optimizer, make_scheduler=None):
        self.images, self.labels = digits
        self.model = Network(self.images.shape[1])
        self.optimizer = make_optimizer(self.model.named_parameters())
        self.scheduler = make_scheduler(self.optimizer) if make_scheduler else None
        self.step = 0

    def train(self, steps):
        """The losses of the steps."""
        losses = []
        for _ in range(steps):
            batch = torch.arange(32).add(32 * self.step).remainder(len(self.labels))
            loss = nn.functional.cross_entropy(self.model(self.images[batch]), self.labels[batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.scheduler is not None:
                metrics = () if self.scheduler_is_blind() else (loss.item(),)
                self.scheduler.step(*metrics)
            self.step += 1
            losses.append(loss.item())
        return losses

    def scheduler_is_blind(self):
        return not isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)

    def directions(self):
        """Every block on its unit sphere, and the head as it is."""
        first, second = self.model.first.detach(), self.model.second.detach()
        return [
            first / first.norm(dim=1, keepdim=True),
            second / second.norm(dim=0, keepdim=True),
            self.model.head.detach(),
        ]

    def snapshot(self):
        """All that a conversion might change, deep enough to be compared bit by bit."""
        scheduler = self.scheduler and self.scheduler.state_dict()
        gradients = [p.grad for p in self.model.parameters()]
        return copy.deepcopy(
            (self.model.state_dict(), gradients, self.optimizer.state_dict(), scheduler)
        )


@pytest.fixture
def start(digits):
    """A function from the makers of an optimiser and a schedule to a new run."""
    return lambda *makers: Run(digits, *makers)


@pytest.fixture
def blocks():
    return BLOCKS


def distance(found, expected):
    """The largest difference of two lists of tensors or numbers, over the largest entry."""
    pairs = zip(found, expected, strict=True)
    pairs = [(torch.as_tensor(f).detach(), torch.as_tensor(e).detach()) for f, e in pairs]
    return max(float((f - e).abs().max() / e.abs().max()) for f, e in pairs)


@pytest.fixture(name="distance")
def distance_of_lists():
    return distance

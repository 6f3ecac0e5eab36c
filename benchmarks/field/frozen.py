"""What training cannot scale, and modes that are set by hand."""

from collections.abc import Callable
from functools import partial
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from field._model import Built, FieldModel, simple

FROZEN: Final = "frozen parameters"
MODES: Final = "modes mixed by hand"


def frozen(module: nn.Module) -> nn.Module:
    """The module, whose parameters do not train."""
    return module.requires_grad_(False)


class LoRA(nn.Module):
    """A frozen layer with a product of two thin ones beside it, before a norm or not."""

    def __init__(self, norm: nn.Module | None = None, *, bias: bool = False) -> None:
        super().__init__()
        self.base = frozen(nn.Linear(6, 6, bias=bias))
        self.a, self.b = nn.Linear(6, 2, bias=False), nn.Linear(2, 6, bias=False)
        self.norm, self.head = norm or nn.Identity(), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.base(x) + self.b(self.a(x))))


class DoRA(nn.Module):
    """A direction of a frozen weight and what is added to it, times a magnitude of each row."""

    def __init__(self, *, detached: bool = False) -> None:
        super().__init__()
        self.base = frozen(nn.Linear(6, 5, bias=False))
        self.a, self.b = nn.Parameter(torch.randn(2, 6)), nn.Parameter(torch.randn(5, 2))
        self.magnitude, self.detached = nn.Parameter(torch.ones(5)), detached
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.base.weight + self.b @ self.a
        norm = weight.norm(dim=1, keepdim=True)
        weight = self.magnitude[:, None] * weight / (norm.detach() if self.detached else norm)
        return self.head(torch.relu(x @ weight.T))


class Backbone(nn.Module):
    """A frozen backbone under a head that trains."""

    def __init__(self, *, norms_train: bool) -> None:
        super().__init__()
        self.stem, self.n1 = frozen(nn.Conv2d(3, 4, 3, bias=False)), nn.BatchNorm2d(4)
        self.conv, self.n2 = frozen(nn.Conv2d(4, 4, 3, bias=False)), nn.BatchNorm2d(4)
        if not norms_train:
            frozen(self.n1), frozen(self.n2)
        self.neck, self.n3 = nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.n2(self.conv(torch.relu(self.n1(self.stem(x))))))
        return self.head(torch.relu(self.n3(self.neck(x))).mean((2, 3)))


class Positions(nn.Module):
    """Embeddings beside a table of positions that does not train."""

    def __init__(self, *, train: bool = False) -> None:
        super().__init__()
        self.token = nn.Embedding(9, 6)
        self.position = nn.Parameter(torch.randn(8, 6), requires_grad=train)
        self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.norm(self.token(ids) + self.position[: ids.shape[1]]))


class Tied(nn.Module):
    """A frozen embedding that is the head too, with layers in between."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.layer = frozen(nn.Embedding(9, 6)), nn.Linear(6, 6)
        self.norm = nn.RMSNorm(6)

    def forward(self, ids: Tensor) -> Tensor:
        return self.norm(torch.relu(self.layer(self.embed(ids)))) @ self.embed.weight.T


class Gains(nn.Module):
    """Norms whose gains do not train, with biases that do."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n = nn.Linear(6, 5), nn.LayerNorm(5)
        self.n.weight.requires_grad_(False)
        self.b = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.relu(self.n(self.a(x))))


class Prompt(nn.Module):
    """Learned vectors before frozen embeddings in front of a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        self.prompt, self.embed = nn.Parameter(torch.randn(2, 6)), frozen(nn.Embedding(9, 6))
        self.norm, self.layer = frozen(nn.LayerNorm(6)), frozen(nn.Linear(6, 6))
        self.head = nn.Linear(6, 3)

    def forward(self, ids: Tensor) -> Tensor:
        prompt = self.prompt.expand(len(ids), -1, -1)
        x = self.norm(torch.cat([prompt, self.embed(ids)], 1))
        return self.head(torch.relu(self.layer(x)))


class Detector(nn.Module):
    """A backbone whose norms are in evaluation while the head trains."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Conv2d(4, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Sequential(
            nn.Conv2d(4, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


class Overridden(Detector):
    """The same by a method that is overridden."""

    def train(self, mode: bool = True) -> "Overridden":
        super().train(mode)
        for module in self.backbone:
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def _by_hand() -> nn.Module:
    """A detector whose norms were set by hand."""
    model = Detector()
    for module in model.backbone:
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return model


def _warm(build: Callable[[], nn.Module], mode: bool | None = None) -> Built:
    """A model whose running statistics are those of some data, and a picture."""
    model, x = build(), torch.randn(2, 3, 10, 10)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return (model if mode is None else model.train(mode)), (x,), {}


def _tokens(build: Callable[[], nn.Module]) -> Built:
    """A model of tokens, and tokens."""
    return build(), (torch.randint(0, 9, (3, 5)),), {}


class Dropping(nn.Module):
    """Dropout by function, which only the mode turns off, before a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n, self.b = nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.n(F.dropout(torch.relu(self.a(x)), 0.3, self.training)))


MODELS: Final[tuple[FieldModel, ...]] = (
    simple(FROZEN, "LoRA", LoRA, (8, 6)),
    simple(FROZEN, "LoRA, layer norm", lambda: LoRA(nn.LayerNorm(6)), (8, 6)),
    simple(FROZEN, "LoRA with bias, batch norm",
           lambda: LoRA(nn.BatchNorm1d(6), bias=True), (8, 6)),
    simple(FROZEN, "DoRA", DoRA, (8, 6)),
    simple(FROZEN, "DoRA, detached norm", lambda: DoRA(detached=True), (8, 6)),
    FieldModel("frozen backbone", FROZEN, partial(_warm, lambda: Backbone(norms_train=False))),
    FieldModel("frozen backbone, norms train", FROZEN,
               partial(_warm, lambda: Backbone(norms_train=True))),
    FieldModel("frozen positions", FROZEN, partial(_tokens, Positions)),
    FieldModel("positions that train", FROZEN, partial(_tokens, lambda: Positions(train=True))),
    FieldModel("frozen and tied embedding", FROZEN, partial(_tokens, Tied)),
    FieldModel("prompt before frozen layers", FROZEN, partial(_tokens, Prompt)),
    simple(FROZEN, "frozen gains", Gains, (8, 6)),
    FieldModel("norms set to evaluation", MODES, partial(_warm, _by_hand)),
    FieldModel("train overridden", MODES, partial(_warm, Overridden, True)),
    FieldModel("detector in training", MODES, partial(_warm, Detector, True)),
    FieldModel("detector in evaluation", MODES, partial(_warm, Detector, False)),
    simple(MODES, "dropout by function in evaluation", lambda: Dropping().eval(), (8, 6)),
    simple(MODES, "dropout by function", Dropping, (8, 6)),
)  # fmt: skip

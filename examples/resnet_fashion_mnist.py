"""A small ResNet whose normalised weights stay at norm 1, on Fashion-MNIST or the 8×8 digits.

python examples/resnet_fashion_mnist.py                  # the digits that scikit-learn carries
python examples/resnet_fashion_mnist.py --data FOLDER    # the four idx files of Fashion-MNIST
"""

import argparse

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import etaeff
from etaeff.geometry import block_norms
from etaeff.optim import SphereSGD
from etaeff.studies import load_dataset, take


def convolution(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    """A 3×3 convolution and its Batch Normalization."""
    weight = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return [weight, nn.BatchNorm2d(outputs)]


class Residual(nn.Sequential):
    """Layers whose output is added to their input."""

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, channels, height, width)."""
        return F.relu(x + super().forward(x))


def resnet(width: int, classes: int) -> nn.Module:
    """Two residual stages, and a stage of 4 × width channels."""
    layers = [*convolution(1, width), nn.ReLU()]
    for n in (width, 2 * width):
        layers += [Residual(*convolution(n, n), nn.ReLU(), *convolution(n, n))]
        layers += [*convolution(n, 2 * n, stride=2), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes)]
    return nn.Sequential(*layers)


def main() -> None:
    """Train, and say how well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits", help="folder with idx files")
    parser.add_argument("--train-size", type=int, help="how many examples; all by default")
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    torch.manual_seed(0)
    data = load_dataset(options.data)
    data = take(data, options.train_size or len(data.train_y))
    x, y = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    model = resnet(8, data.classes)

    audit = etaeff.audit(model, (x[:8],))
    print(repr(audit))
    groups = audit.param_groups(lr=0.1, weight_decay=5e-4)  # decay is for the rest
    optimizer = SphereSGD(groups, momentum=0.9)
    batches = [b for _ in range(options.epochs) for b in torch.randperm(len(x)).split(32)]
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(batches))
    for batch in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
        scheduler.step()

    model.eval()
    with torch.no_grad():
        parts = torch.from_numpy(data.test_x).split(500)
        guesses = torch.cat([model(part).argmax(1) for part in parts])
    accuracy = (guesses.numpy() == data.test_y).mean()
    norms = torch.cat([block_norms(b, dict(model.named_parameters())) for b in audit.blocks])
    print(f"{data.name}: test accuracy {accuracy:.2%}")
    print(f"{len(norms)} spheres, their norms off 1 by at most {(norms - 1).abs().max():.1e}")


if __name__ == "__main__":
    main()

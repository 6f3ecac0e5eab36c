"""A small GPT with QK-norm that learns a text letter by letter, its weights on spheres.

python examples/gpt_shakespeare.py [TEXT]    # by default, the help that every Python carries
"""

import argparse
from pathlib import Path
from pydoc_data.topics import topics

import torch
from torch import Tensor, nn

import etaeff
from etaeff.optim import SphereAdam

WIDTH, WIDE, HEADS, LENGTH = 64, 256, 4, 32


class Layer(nn.Module):
    """Attention with normalised queries and keys, then an MLP."""

    def __init__(self) -> None:
        """Weights; a head has WIDTH / HEADS channels."""
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))
        self.q_norm, self.k_norm = nn.RMSNorm(WIDTH // HEADS), nn.RMSNorm(WIDTH // HEADS)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, WIDE), nn.GELU(), nn.Linear(WIDE, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """The residual stream (n, length, WIDTH)."""
        y = self.norm1(x)
        q, k, v = (read(y).unflatten(2, (HEADS, -1)) for read in (self.q, self.k, self.v))
        heads = [part.transpose(1, 2) for part in (self.q_norm(q), self.k_norm(k), v)]
        mixed = nn.functional.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.o(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


def main() -> None:
    """Train, and say how well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", nargs="?", type=Path)
    parser.add_argument("--steps", type=int, default=150)
    options = parser.parse_args()
    torch.manual_seed(0)
    text = options.text.read_text("utf-8") if options.text else "".join(topics.values())
    letters, ids = torch.tensor([ord(letter) for letter in text]).unique(return_inverse=True)
    windows = ids.unfold(0, LENGTH + 1, LENGTH)  # a target is the letter after the input
    windows = windows[torch.randperm(len(windows))]
    first, head = nn.Embedding(len(letters), WIDTH), nn.Linear(WIDTH, len(letters))
    model = nn.Sequential(first, Layer(), Layer(), nn.LayerNorm(WIDTH), head)

    def loss_of(batch: Tensor) -> Tensor:
        return nn.functional.cross_entropy(model(batch[:, :-1]).mT, batch[:, 1:])

    def norms() -> Tensor:
        tensors = dict(model.named_parameters())
        return torch.cat([etaeff.geometry.block_norms(own, tensors) for own in audit.blocks])

    audit = etaeff.audit(model, (windows[:2, :-1],))
    # On spheres, in radians per step: the heads of q and k, and all that feeds the residual stream
    # as one. At radius 1 that stream would drown in the ε of LayerNorm: radii stay as they are.
    sphere = {"mode": "angle", "sphere_lr": 0.03, "radius": "keep"}
    groups, radii = audit.param_groups(lr=3e-3, weight_decay=0.1, **sphere), norms()
    optimizer = SphereAdam(groups, betas=(0.9, 0.95))
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    print(f"{audit!r}\nloss on unseen text, before: {loss_of(windows[:128]):.3f}")
    for _ in range(options.steps):
        optimizer.zero_grad()
        loss_of(windows[torch.randint(128, len(windows), (32,))]).backward()
        optimizer.step()
        scheduler.step()
    print(f"loss on unseen text, after: {loss_of(windows[:128]):.3f}")
    print(f"{len(radii)} spheres, radii off by at most {(norms() / radii - 1).abs().max():.1e}")


if __name__ == "__main__":
    main()
